//! Headers as the fields of a struct.

use std::{borrow::Cow, ops::Deref};

use http::{HeaderMap, HeaderName, request::Parts};
use serde::{Deserializer, de::DeserializeOwned, de::Visitor, forward_to_deserialize_any};

use super::{
    ExtractError, FieldError, FromHead,
    fields::{Fields, Mistake},
};

/// Headers of the request as the fields of a `T`. What is wrong with one is 400.
///
/// Fields of the struct have the names of headers: `#[serde(rename_all = "kebab-case")]`. Case is of no matter. As in
/// [`Form`](super::Form), `Option` is for what may be missing, `Vec` for what may come more than once, and one that comes more than once
/// and is no `Vec` is refused. Lists within a value are not split, as the separators differ. Values are ASCII: others are refused.
///
/// Types of single headers, such as those of the crate `headers`, are read by its own `HeaderMapExt`, and by `TypedHeader` of axum-extra.
///
/// ```
/// use bartizan_listener::extract::{FromHead, Headers};
/// use http::Request;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(rename_all = "kebab-case")]
/// struct Tenant {
///     x_tenant_id: u32,
///     x_trace: Option<String>,
/// }
///
/// # fn main() -> Result<(), bartizan_listener::extract::ExtractError> {
/// let (head, ()) = Request::get("/").header("X-Tenant-Id", "7").body(()).unwrap().into_parts();
/// let tenant = Headers::<Tenant>::from_head(&head)?;
/// assert_eq!((tenant.x_tenant_id, &tenant.x_trace), (7, &None));
///
/// let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
/// let error = Headers::<Tenant>::from_head(&head).err().unwrap();
/// assert_eq!(error.to_string(), "the headers are not what is expected: header x-tenant-id is missing");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<T>(pub T);

impl<T> Deref for Headers<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromHead for Headers<T> {
    fn from_head(head: &Parts) -> Result<Self, ExtractError> {
        T::deserialize(Source(&head.headers))
            .map(Self)
            .map_err(|mistake| {
                let name = mistake.field.as_deref().unwrap_or_default();
                let field = Self::field_error(name, mistake.reason);
                ExtractError::invalid_head("the headers are not what is expected", vec![field])
            })
    }

    fn field_error(name: &str, reason: Cow<'static, str>) -> FieldError {
        FieldError::header(name, reason)
    }
}

struct Source<'a>(&'a HeaderMap);

impl<'a> Source<'a> {
    fn fields(
        &self,
        names: impl Iterator<Item = (&'a str, HeaderName)>,
    ) -> Result<Fields<'a>, Mistake> {
        let mut pairs = Vec::new();
        for (name, key) in names {
            for value in self.0.get_all(&key) {
                let value = value.to_str().map_err(|_| Mistake {
                    field: Some(name.to_owned()),
                    reason: "is not ASCII".into(),
                })?;
                pairs.push((name.into(), value.into()));
            }
        }
        Ok(Fields::of(pairs.into_iter()))
    }
}

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let names = self.0.keys().map(|name| (name.as_str(), name.clone()));
        self.fields(names)?.deserialize_any(visitor)
    }

    /// Only those that are asked for: the others are many, and may be anything.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let names = names
            .iter()
            .filter_map(|&name| Some((name, HeaderName::try_from(name).ok()?)));
        self.fields(names)?.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::{HeaderValue, Request};
    use serde::Deserialize;

    use super::*;

    fn read<T: DeserializeOwned>(headers: &[(&'static str, &[u8])]) -> Result<T, ExtractError> {
        let (mut head, ()) = Request::new(()).into_parts();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).expect("a header value");
            head.headers.append(*name, value);
        }
        Headers::from_head(&head).map(|Headers(value)| value)
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Wanted {
        x_number: u8,
        #[serde(default)]
        x_many: Vec<String>,
    }

    #[test]
    fn only_what_is_asked_for_matters() {
        let wanted: Wanted = read(&[
            ("x-many", b"a, b"),
            ("x-number", b"1"),
            ("x-many", b"c"),
            ("x-other", b"\xff"),
        ])
        .expect("all there");
        assert_eq!(wanted.x_number, 1);
        assert_eq!(wanted.x_many, ["a, b", "c"]);
        let all: HashMap<String, String> = read(&[("a", b"1"), ("b", b"2")]).expect("a map");
        assert_eq!(all["b"], "2");
    }

    #[test]
    fn mistakes_name_the_header_and_not_its_value() {
        for headers in [
            &[("x-number", &b"secret"[..])][..],
            &[("x-number", b"\xff")],
            &[("x-number", b"1"), ("x-number", b"2")],
            &[],
        ] {
            let error = read::<Wanted>(headers).expect_err("no number");
            assert!(error.is_invalid());
            assert_eq!(error.status(), 400);
            assert_eq!(error.fields()[0].header_name(), Some("x-number"));
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }
}
