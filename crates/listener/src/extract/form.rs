//! Forms, and query strings.

use std::ops::Deref;

use bartizan_core::Body;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{
    ContentType, ExtractError, FieldError, FromBody, FromHead, Pointer,
    fields::{Fields, Mistake},
    limits,
};

/// More are no form that people fill in. Each costs a hundred times its bytes, so that the limit of the body is not enough.
const PAIRS: usize = 1_000;

/// A body of `application/x-www-form-urlencoded`, by the rules of the
/// [WHATWG](https://url.spec.whatwg.org/#application/x-www-form-urlencoded).
///
/// Fields that may come more than once are `Vec`s; any other that does is refused. A field of type `Option` is `None` if it is missing and
/// if it is empty, as browsers send what is not filled in; `#[serde(default)]` is for the other types. Enums are read by the name of their
/// variant. What is not UTF-8 is 400: it would have to be replaced. So are more than 1,000 fields, as 413.
///
/// In `#[serde(flatten)]` everything is text, as serde keeps it before it knows what for: numbers there need a `deserialize_with`.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{Form, FromBody};
/// use http::Request;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Signup {
///     name: String,
///     age: Option<u8>,
///     #[serde(default)]
///     topic: Vec<String>,
/// }
///
/// async fn signup(form: &'static str) -> Result<Signup, bartizan_listener::extract::ExtractError> {
///     let request = Request::post("/")
///         .header("content-type", "application/x-www-form-urlencoded")
///         .body(Body::from(form))
///         .unwrap();
///     let (head, body) = request.into_parts();
///     Ok(Form::from_body(&head, body).await?.0)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let ann = signup("name=Ann+Lee&age=&topic=a&topic=b").await.unwrap();
/// assert_eq!((&ann.name[..], ann.age, ann.topic.len()), ("Ann Lee", None, 2));
///
/// let error = signup("name=Ann&age=young").await.err().unwrap();
/// assert_eq!(error.to_string(), "the form is not what is expected: #/age expected u8");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromBody for Form<T> {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        const WANTED: &str = "application/x-www-form-urlencoded";
        let content_type = ContentType::of(&head.headers)?.filter(|it| it.is(WANTED));
        content_type.ok_or_else(|| super::not_of(WANTED))?;
        let bytes = limits::whole(head, body).await?;
        match parse(&bytes) {
            Ok(value) => Ok(Self(value)),
            Err(Fault::NotUtf8) => Err(ExtractError::malformed("the form is not UTF-8")),
            Err(Fault::TooMany) => Err(ExtractError::too_large(format!(
                "the form has more than {PAIRS} fields"
            ))),
            Err(Fault::Mistake(mistake)) => {
                let mut at = Pointer::root();
                if let Some(field) = &mistake.field {
                    at.push(field);
                }
                let field = FieldError::at(at, mistake.reason);
                Err(ExtractError::invalid_content(
                    "the form is not what is expected",
                    vec![field],
                ))
            }
        }
    }
}

/// The query of the URI, by the same rules as [`Form`]. What is wrong with it is 400.
///
/// `Option` for the whole is not needed: a query that is missing is an empty one, and a struct whose fields are all optional takes it.
///
/// ```
/// use bartizan_listener::extract::{FromHead, Query};
/// use http::Request;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// struct Page {
///     #[serde(default)]
///     start: u32,
///     sort: Option<String>,
/// }
///
/// # fn main() -> Result<(), bartizan_listener::extract::ExtractError> {
/// let page = |uri: &str| Query::<Page>::from_head(&Request::get(uri).body(()).unwrap().into_parts().0);
/// assert_eq!(page("/users?start=20&sort=name")?.start, 20);
/// assert_eq!(page("/users")?.sort, None);
///
/// let error = page("/users?start=-1").unwrap_err();
/// assert_eq!(error.fields()[0].parameter_name(), Some("start"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromHead for Query<T> {
    fn from_head(head: &Parts) -> Result<Self, ExtractError> {
        let query = head.uri.query().unwrap_or_default();
        parse(query.as_bytes())
            .map(Self)
            .map_err(|fault| match fault {
                Fault::NotUtf8 => ExtractError::malformed("the query is not UTF-8"),
                Fault::TooMany => {
                    ExtractError::malformed(format!("the query has more than {PAIRS} parameters"))
                }
                Fault::Mistake(mistake) => {
                    let name = mistake.field.as_deref().unwrap_or_default();
                    let field = FieldError::parameter(name, mistake.reason);
                    ExtractError::invalid_head("the query is not what is expected", vec![field])
                }
            })
    }
}

#[derive(Debug)]
enum Fault {
    NotUtf8,
    TooMany,
    Mistake(Mistake),
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    // Separators are ASCII, so what is not UTF-8 in a part is not in the whole either.
    if percent_encoding::percent_decode(bytes)
        .decode_utf8()
        .is_err()
    {
        return Err(Fault::NotUtf8);
    }
    if form_urlencoded::parse(bytes).nth(PAIRS).is_some() {
        return Err(Fault::TooMany);
    }
    T::deserialize(Fields::of(form_urlencoded::parse(bytes))).map_err(Fault::Mistake)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_is_not_utf8_is_refused_and_not_replaced() {
        type Map = HashMap<String, String>;
        let read = parse::<Map>(b"%C3%A4=%F0%9F%A6%80&%=%zz").expect("UTF-8");
        assert_eq!(read["ä"], "🦀");
        assert_eq!(read["%"], "%zz");
        for bytes in [&b"a=%FF"[..], b"a=\xff", b"%C3=%A4", b"a=%ED%A0%80"] {
            assert!(
                matches!(parse::<Map>(bytes), Err(Fault::NotUtf8)),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn fields_are_counted() {
        type Map = HashMap<String, Vec<String>>;
        let form = |pairs| "a&".repeat(pairs);
        let read = parse::<Map>(form(PAIRS).as_bytes()).expect("as many as allowed");
        assert_eq!(read["a"].len(), PAIRS);
        let read = parse::<Map>(form(PAIRS + 1).as_bytes());
        assert!(matches!(read, Err(Fault::TooMany)));
    }
}
