//! `Content-Type`, as binding looks at it.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::ExtractError;
use crate::negotiation::{Parts, Twice, Value, parts};

/// The media type of a body. How it is written is [negotiation](crate::negotiation)'s to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentType<'a>(Parts<'a>);

impl<'a> ContentType<'a> {
    /// That of the body, or `None` if none is said.
    ///
    /// One that is malformed, and two of them, are refused: what one recipient makes of it is not what the next does, and that is how
    /// filters are evaded.
    pub(crate) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, ExtractError> {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            return Err(ExtractError::malformed(
                "there is more than one Content-Type",
            ));
        }
        let Some(value) = first else {
            return Ok(None);
        };
        let parsed = value.to_str().ok().and_then(Self::parse);
        let malformed = || ExtractError::malformed("the Content-Type is malformed");
        parsed.ok_or_else(malformed).map(Some)
    }

    /// `None` if it is none: a range such as `text/*` is no type of anything.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        parts(text).filter(Parts::is_type).map(Self)
    }

    #[cfg(any(
        feature = "form",
        feature = "json",
        feature = "multipart",
        feature = "xml"
    ))]
    pub(crate) fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(main, sub)| {
            self.0.main.eq_ignore_ascii_case(main) && self.0.sub.eq_ignore_ascii_case(sub)
        })
    }

    pub(crate) fn is_text(&self) -> bool {
        self.0.main.eq_ignore_ascii_case("text")
    }

    /// Whether it is in a format that others build on (RFC 6839), as `+json`.
    #[cfg(any(feature = "json", feature = "xml"))]
    pub(crate) fn has_suffix(&self, suffix: &str) -> bool {
        let sub = self.0.sub.as_bytes();
        let start = sub.len().checked_sub(suffix.len());
        start.is_some_and(|start| start > 0 && sub[start..].eq_ignore_ascii_case(suffix.as_bytes()))
    }

    /// The parameter of that name.
    ///
    /// # Errors
    ///
    /// If there are two.
    pub(crate) fn parameter(&self, name: &str) -> Result<Option<Cow<'a, str>>, ExtractError> {
        let value = self.0.parameters.only(name).map_err(|Twice| {
            ExtractError::malformed("a parameter of the Content-Type is there twice")
        })?;
        Ok(value.map(Value::text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn charset(text: &str) -> Result<Option<String>, ExtractError> {
        let headers = text.parse().map(|value| [(header::CONTENT_TYPE, value)]);
        let headers = headers.map(HeaderMap::from_iter).unwrap_or_default();
        let content_type = ContentType::of(&headers)?;
        let charset = content_type.map_or(Ok(None), |it| it.parameter("charset"))?;
        Ok(charset.map(Into::into))
    }

    #[test]
    fn parameters_are_read_as_the_grammar_has_them() {
        for (text, expected) in [
            ("text/plain", None),
            ("text/plain; charset=utf-8", Some("utf-8")),
            ("text/plain \t;\tCHARSET=\"UTF-8\" ", Some("UTF-8")),
            ("text/html;level=1;;charset=latin1;", Some("latin1")),
            ("a/b; x=\"; charset=b\"; charset=a", Some("a")),
            ("a/b; charset=\"\\\"\\\\\\a\"", Some("\"\\a")),
            ("a/b; charset=\"\"", Some("")),
        ] {
            assert_eq!(charset(text).expect(text).as_deref(), expected, "{text}");
        }
        for text in [
            "",
            "text",
            "/plain",
            "text/",
            "text/*",
            "*/*",
            "te xt/plain",
            "text/plain/x",
            "text/plain, text/html",
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; charset =utf-8",
            "text/plain; charset=a b",
            "text/plain; charset=\"a",
            "text/plain; charset=\"a\\\"",
            "text/plain; charset=\"a\"b",
            "text/plain; charset=a; charset=b",
        ] {
            assert!(charset(text).expect_err(text).is_malformed(), "{text}");
        }
    }

    #[cfg(any(feature = "json", feature = "xml"))]
    #[test]
    fn suffixes_follow_something() {
        for (text, expected) in [
            ("application/problem+json", true),
            ("application/problem+JSON", true),
            ("application/+json", false),
            ("application/json", false),
            ("application/json+x", false),
        ] {
            let parsed = ContentType::parse(text).expect("well-formed");
            assert_eq!(parsed.has_suffix("+json"), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-z]{0,3}/?[a-z]{0,3}[;=\"\\\\ ü]{0,9}\\PC*[;=\"\\\\]*\\PC*") {
            let _ = charset(&text);
        }
    }
}
