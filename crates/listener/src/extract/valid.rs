//! Rules beyond types.

use std::{borrow::Cow, ops::Deref};

use bartizan_core::Body;
use http::request::Parts;

use super::{ExtractError, FieldError, FromBody, FromHead, pointer::nearest};

/// More help nobody, and a list of a million wrong items would be answered by as many.
const MOST: usize = 64;

/// Rules that the fields of a value must keep, and that their types do not.
///
/// Rules beside the fields, by derive, are those of [garde](https://docs.rs/garde): see [`Garde`].
pub trait Validate {
    /// Adds what is against the rules to `violations`.
    fn validate(&self, violations: &mut Violations);
}

/// What is against the rules. The first 64 are kept.
///
/// [`Validate`] fills one for [`Valid`]. Where rules need more than the value, a handler fills one by itself, and so does a layer or an
/// interceptor: [`into_result`](Self::into_result) makes the same error of it.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{ExtractError, Violations};
/// use http::Response;
///
/// fn book(seats: u32, free: u32, name: &str) -> Result<(), ExtractError> {
///     let mut violations = Violations::new();
///     violations.check(seats <= free, "/seats", format!("must be at most {free}, which is what there is"));
///     violations.check(!name.is_empty(), "/name", "must not be empty");
///     violations.into_result()
/// }
///
/// assert!(book(2, 3, "Ann").is_ok());
/// let response = Response::<Body>::from(book(9, 3, "Ann").unwrap_err());
/// assert_eq!(response.status(), 422);
/// assert_eq!(
///     response.body().whole().unwrap(),
///     concat!(
///         r##"{"title":"Unprocessable Entity","status":422,"detail":"the request is not valid","##,
///         r##""errors":[{"pointer":"#/seats","detail":"must be at most 3, which is what there is"}]}"##
///     )
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct Violations(Vec<(String, Cow<'static, str>)>);

impl Violations {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Something is wrong with the field at `pointer`, a JSON Pointer (RFC 6901) such as `/items/0/price`, or `""` for the whole. Of one
    /// that is longer than 256 bytes, the nearest ancestor that is not.
    ///
    /// The reason goes over the wire and into logs: it has no values in it that are secret.
    pub fn add(&mut self, pointer: &str, reason: impl Into<Cow<'static, str>>) {
        if self.0.len() < MOST {
            // Keys in it may be the peer's, and one of them may be below many pointers.
            self.0.push((nearest(pointer).to_owned(), reason.into()));
        }
    }

    /// Adds it if the rule is not `kept`.
    pub fn check(&mut self, kept: bool, pointer: &str, reason: impl Into<Cow<'static, str>>) {
        if !kept {
            self.add(pointer, reason);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says that all is well, or what is not.
    ///
    /// # Errors
    ///
    /// [`ExtractError::is_invalid`] if there are any: a 422 (RFC 9110 section 15.5.21), because the content is well-formed.
    pub fn into_result(self) -> Result<(), ExtractError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let fields = self.0.into_iter();
        let fields = fields.map(|(pointer, reason)| FieldError::content(&pointer, reason));
        Err(ExtractError::invalid_content(INVALID, fields.collect()))
    }

    /// The same of what is not content, but a query or headers: fields have names there.
    fn into_result_of_head<E: FromHead>(self) -> Result<(), ExtractError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let fields = self.0.into_iter().map(|(pointer, reason)| {
            let path = pointer.trim_start_matches(['#', '/']);
            let name = path.split('/').next().unwrap_or_default();
            E::field_error(&name.replace("~1", "/").replace("~0", "~"), reason)
        });
        Err(ExtractError::invalid_head(INVALID, fields.collect()))
    }
}

const INVALID: &str = "the request is not valid";

/// Something bound, and valid by its own [`Validate`]: `Valid<Json<T>>`, `Valid<Form<T>>`, `Valid<Query<T>>`.
///
/// What is not is 422, or 400 for a query or headers, with all that is wrong. There, the first step of a pointer is the name.
///
#[cfg_attr(feature = "form", doc = "```")]
#[cfg_attr(not(feature = "form"), doc = "```ignore")]
/// use bartizan_listener::extract::{FromHead, Query, Valid, Validate, Violations};
/// use http::Request;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// struct Range {
///     from: u32,
///     to: u32,
/// }
///
/// impl Validate for Range {
///     fn validate(&self, violations: &mut Violations) {
///         violations.check(self.from <= self.to, "/to", "must not be before `from`");
///         violations.check(self.to < 1_000, "/to", "must be less than 1000");
///     }
/// }
///
/// let read = |uri: &str| Valid::<Query<Range>>::from_head(&Request::get(uri).body(()).unwrap().into_parts().0);
/// let Valid(Query(range)) = read("/?from=1&to=2").unwrap();
/// assert_eq!(range.to, 2);
///
/// let error = read("/?from=2000&to=1000").unwrap_err();
/// assert!(error.is_invalid());
/// assert_eq!(error.fields().len(), 2);
/// assert_eq!(error.fields()[0].parameter_name(), Some("to"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Valid<E>(pub E);

impl<E> Valid<E>
where
    E: Deref<Target: Validate>,
{
    /// Holds what was bound to its rules.
    ///
    /// # Errors
    ///
    /// [`ExtractError::is_invalid`] if there are violations.
    pub fn of(bound: E) -> Result<Self, ExtractError> {
        Self::violations(&bound).into_result().map(|()| Self(bound))
    }

    fn violations(bound: &E) -> Violations {
        let mut violations = Violations::new();
        bound.validate(&mut violations);
        violations
    }
}

/// Something bound, and valid by garde's rules: `Garde<Json<T>>` where `T` derives `garde::Validate`, with a context that has a default (garde 0.22).
///
/// Paths of garde become pointers. Of a map whose keys have dots or brackets in them they are not exact.
///
#[cfg_attr(feature = "form", doc = "```")]
#[cfg_attr(not(feature = "form"), doc = "```ignore")]
/// use bartizan_listener::extract::{FromHead, Garde, Query};
/// use garde::Validate;
/// use http::Request;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize, Validate)]
/// struct User {
///     #[garde(length(min = 2))]
///     name: String,
/// }
///
/// let read = |uri: &str| Garde::<Query<User>>::from_head(&Request::get(uri).body(()).unwrap().into_parts().0);
/// assert_eq!(read("/?name=Ann").unwrap().0.name, "Ann");
/// assert_eq!(read("/?name=A").unwrap_err().fields()[0].parameter_name(), Some("name"));
/// ```
#[cfg(feature = "garde")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garde<E>(pub E);

#[cfg(feature = "garde")]
impl<E> Garde<E>
where
    E: Deref<Target: garde::Validate<Context: Default>>,
{
    /// Holds what was bound to its rules.
    ///
    /// # Errors
    ///
    /// [`ExtractError::is_invalid`] if it is against them.
    pub fn of(bound: E) -> Result<Self, ExtractError> {
        Self::violations(&bound).into_result().map(|()| Self(bound))
    }

    fn violations(bound: &E) -> Violations {
        let mut violations = Violations::new();
        if let Err(report) = garde::Validate::validate(&**bound) {
            for (path, error) in report.iter().take(MOST) {
                violations.add(&of_garde(path), error.message().to_owned());
            }
        }
        violations
    }
}

/// `items[0].name` as `/items/0/name`.
#[cfg(feature = "garde")]
fn of_garde(path: &garde::Path) -> String {
    let mut pointer = String::new();
    for step in path.to_string().split(['.', '[']) {
        let step = step.strip_suffix(']').unwrap_or(step);
        if !step.is_empty() {
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
    }
    pointer
}

macro_rules! bound {
    ($($(#[$attribute:meta])* $name:ident: ($($rules:tt)+)),*) => {
        $(
            $(#[$attribute])*
            impl<E> FromBody for $name<E>
            where
                E: FromBody + Deref<Target: $($rules)+>,
            {
                async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
                    Self::of(E::from_body(head, body).await?)
                }
            }

            $(#[$attribute])*
            impl<E> FromHead for $name<E>
            where
                E: FromHead + Deref<Target: $($rules)+>,
            {
                fn from_head(head: &Parts) -> Result<Self, ExtractError> {
                    let bound = E::from_head(head)?;
                    Self::violations(&bound).into_result_of_head::<E>()?;
                    Ok(Self(bound))
                }

                fn field_error(name: &str, reason: Cow<'static, str>) -> FieldError {
                    E::field_error(name, reason)
                }
            }
        )*
    };
}

bound! {
    Valid: (Validate),
    #[cfg(feature = "garde")]
    Garde: (garde::Validate<Context: Default>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_bounded() {
        let mut violations = Violations::default();
        for n in 0..1_000 {
            violations.add(&format!("/{n}"), "is wrong");
        }
        let error = violations.into_result().expect_err("there are some");
        assert_eq!(error.fields().len(), MOST);
        assert_eq!(error.fields()[63].pointer(), Some("#/63"));
        assert!(Violations::default().into_result().is_ok());
    }

    #[test]
    fn keys_of_the_peers_are_not_kept_in_full() {
        let key = "~1".repeat(1 << 20);
        let mut violations = Violations::default();
        violations.add(&format!("/items/{key}/price"), "is wrong");
        violations.add(&key, "is wrong");
        let kept: Vec<_> = violations.0.iter().map(|(pointer, _)| &**pointer).collect();
        assert_eq!(kept, ["/items", ""]);
        let error = violations.into_result().expect_err("there are some");
        assert_eq!(error.fields()[0].pointer(), Some("#/items"));
    }

    #[cfg(feature = "garde")]
    #[test]
    fn paths_of_garde_are_pointers() {
        let path = garde::Path::new("items").join(0_usize).join("a/b");
        assert_eq!(of_garde(&path), "/items/0/a~1b");
        assert_eq!(of_garde(&garde::Path::empty()), "");
    }
}
