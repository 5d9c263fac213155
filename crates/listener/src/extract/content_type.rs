//! `Content-Type`, and the parameters that it shares with `Content-Disposition`.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::ExtractError;
use crate::negotiation::is_token;

/// A media type (RFC 9110 section 8.3.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentType<'a> {
    essence: &'a str,
    parameters: Parameters<'a>,
}

/// What is not written as the grammar has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

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
        first
            .map(|value| {
                let text = value.to_str().map_err(|_| Malformed)?;
                Self::parse(text)
            })
            .transpose()
            .map_err(|Malformed| ExtractError::malformed("the Content-Type is malformed"))
    }

    pub(crate) fn parse(text: &'a str) -> Result<Self, Malformed> {
        let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
        let essence = essence.trim_matches([' ', '\t']);
        let (kind, subtype) = essence.split_once('/').ok_or(Malformed)?;
        if !is_token(kind) || !is_token(subtype) {
            return Err(Malformed);
        }
        let parameters = Parameters(parameters);
        // All of them now, so that nothing can be malformed later.
        for parameter in parameters {
            parameter?;
        }
        Ok(Self {
            essence,
            parameters,
        })
    }

    #[cfg(any(
        feature = "form",
        feature = "json",
        feature = "multipart",
        feature = "xml"
    ))]
    pub(crate) fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    pub(crate) fn is_text(&self) -> bool {
        starts_with(self.essence, "text/")
    }

    /// Whether it is in a format that others build on (RFC 6839), as `+json`.
    #[cfg(any(feature = "json", feature = "xml"))]
    pub(crate) fn has_suffix(&self, suffix: &str) -> bool {
        let subtype = self.essence.split_once('/').map_or("", |it| it.1);
        let start = subtype.len().checked_sub(suffix.len());
        start.is_some_and(|start| {
            start > 0 && subtype.as_bytes()[start..].eq_ignore_ascii_case(suffix.as_bytes())
        })
    }

    /// The parameter of that name.
    ///
    /// # Errors
    ///
    /// If there are two: which of them counts is not said anywhere.
    pub(crate) fn parameter(&self, name: &str) -> Result<Option<Cow<'a, str>>, ExtractError> {
        self.parameters.only(name).map_err(|Malformed| {
            ExtractError::malformed("a parameter of the Content-Type is there twice")
        })
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    let start = text.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// `;name=value` in any number (RFC 9110 section 5.6.6), values as tokens or in quotes.
///
/// In quotes, a backslash escapes a quote or another backslash and is itself everywhere else: that is what senders of file names do, and
/// no charset or boundary has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a>(pub(crate) &'a str);

impl<'a> Parameters<'a> {
    /// The value of the one parameter of that name.
    pub(crate) fn only(self, wanted: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        let mut found = None;
        for parameter in self {
            let (name, value) = parameter?;
            if name.eq_ignore_ascii_case(wanted) && found.replace(value).is_some() {
                return Err(Malformed);
            }
        }
        Ok(found)
    }

    fn step(&mut self) -> Result<Option<(&'a str, Cow<'a, str>)>, Malformed> {
        loop {
            let rest = self.0.trim_start_matches([' ', '\t']);
            if rest.is_empty() {
                return Ok(None);
            }
            let rest = rest.strip_prefix(';').ok_or(Malformed)?;
            let rest = rest.trim_start_matches([' ', '\t']);
            if rest.is_empty() || rest.starts_with(';') {
                self.0 = rest;
                continue;
            }
            let (name, rest) = rest.split_once('=').ok_or(Malformed)?;
            if !is_token(name) {
                return Err(Malformed);
            }
            let (value, rest) = match rest.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = rest.find([';', ' ', '\t']).unwrap_or(rest.len());
                    let (value, rest) = rest.split_at(end);
                    if !is_token(value) {
                        return Err(Malformed);
                    }
                    (value.into(), rest)
                }
            };
            self.0 = rest;
            return Ok(Some((name, value)));
        }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a str, Cow<'a, str>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.0 = "";
        }
        step.transpose()
    }
}

/// What is before the closing quote, and what is after it.
fn unquote(text: &str) -> Result<(Cow<'_, str>, &str), Malformed> {
    let bytes = text.as_bytes();
    let is_escape =
        |at: usize| bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\'));
    let (mut at, mut escapes) = (0, false);
    while *bytes.get(at).ok_or(Malformed)? != b'"' {
        escapes |= is_escape(at);
        at += if is_escape(at) { 2 } else { 1 };
    }
    let (inside, rest) = (&text[..at], &text[at + 1..]);
    if !escapes {
        return Ok((inside.into(), rest));
    }
    let mut value = String::with_capacity(inside.len());
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|c| matches!(c, '"' | '\\')));
        value.push(escaped.flatten().unwrap_or(c));
    }
    Ok((value.into(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn charset(text: &str) -> Result<Option<String>, Malformed> {
        let content_type = ContentType::parse(text)?;
        Ok(content_type.parameters.only("charset")?.map(Into::into))
    }

    #[test]
    fn parameters_are_read_as_the_grammar_has_them() {
        for (text, expected) in [
            ("text/plain", None),
            ("text/plain; charset=utf-8", Some("utf-8")),
            ("text/plain \t;\tCHARSET=\"UTF-8\" ", Some("UTF-8")),
            ("text/html;level=1;;charset=latin1;", Some("latin1")),
            ("a/b; x=\"; charset=b\"; charset=a", Some("a")),
            ("a/b; charset=\"\\\"\\\\\\a\"", Some("\"\\\\a")),
            ("a/b; charset=\"\"", Some("")),
        ] {
            assert_eq!(charset(text), Ok(expected.map(str::to_owned)), "{text}");
        }
        for text in [
            "",
            "text",
            "/plain",
            "text/",
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
            assert_eq!(charset(text), Err(Malformed), "{text}");
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
        fn a_quoted_value_comes_back(value in "\\PC{0,20}", other in "[a-z=; ]{0,10}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("text/plain; other=\"{other}\"; charset=\"{quoted}\"; x=y");
            prop_assert_eq!(charset(&text), Ok(Some(value)));
        }

        #[test]
        fn nothing_makes_it_panic(text in "[a-z]{0,3}/?[a-z]{0,3}[;=\"\\\\ ü]{0,9}\\PC*[;=\"\\\\]*\\PC*") {
            let _ = charset(&text);
        }
    }
}
