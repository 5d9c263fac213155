//! `Content-Type`, and what it says of text.

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use http::{HeaderMap, header};

use crate::{Error, error::Kind};

/// The value of the first parameter of that name (RFC 9110 section 8.3.1), without its quotes.
///
/// What the grammar does not allow is skipped, as far as it can be told where it ends: there is no error, because there is nobody to
/// tell it to.
pub(crate) fn parameter<'a>(content_type: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let mut rest = content_type.split_once(';')?.1;
    loop {
        let end = rest.find(['=', ';'])?;
        let name = rest[..end].trim();
        let is_valued = rest.as_bytes()[end] == b'=';
        rest = &rest[end + 1..];
        if !is_valued {
            continue;
        }
        let value;
        (value, rest) = split_value(rest.trim_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

/// A token or quoted string, and what comes after the next semicolon.
fn split_value(text: &str) -> (Cow<'_, str>, &str) {
    let after = |rest: &'_ str| rest.find(';').map_or(rest.len(), |end| end + 1);
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim_end().into(), &text[after(text)..]);
    };
    let mut is_escaped = false;
    let end = quoted.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    // A string that nobody closes ends with the header.
    let inside = &quoted[..end.unwrap_or(quoted.len())];
    let rest = end.map_or("", |end| &quoted[end + 1..]);
    let value = if inside.contains('\\') {
        let mut is_escaped = false;
        let unescape = |&c: &char| {
            is_escaped = c == '\\' && !is_escaped;
            !is_escaped
        };
        inside.chars().filter(unescape).collect::<String>().into()
    } else {
        inside.into()
    };
    (value, &rest[after(rest)..])
}

/// The `charset` of `Content-Type` (RFC 9110 section 8.3.2).
pub(crate) fn charset(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    parameter(headers.get(header::CONTENT_TYPE)?.to_str().ok()?, "charset")
}

/// How the bytes of a body are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    #[cfg(feature = "charset")]
    Other(&'static encoding_rs::Encoding),
}

impl Charset {
    /// What `Content-Type` says, and UTF-8 if it says nothing.
    ///
    /// US-ASCII is UTF-8 too, with every feature. The WHATWG takes it for windows-1252, which would make the text depend on a feature.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        charset(headers).map_or(Ok(Self::Utf8), |label| Self::of_label(&label))
    }

    fn of_label(label: &str) -> Result<Self, Error> {
        let is_utf8 = |known| label.trim().eq_ignore_ascii_case(known);
        if ["utf-8", "utf8", "us-ascii", "ascii"]
            .into_iter()
            .any(is_utf8)
        {
            return Ok(Self::Utf8);
        }
        Self::of_other(label)
    }

    /// That of an XML document (RFC 7303 section 3): what `Content-Type` says goes before what the document says itself.
    #[cfg(feature = "xml")]
    pub(crate) fn of_xml(headers: &HeaderMap, document: &[u8]) -> Result<Self, Error> {
        if charset(headers).is_some() {
            return Self::of(headers);
        }
        match declared(document) {
            // It was read byte by byte, so it cannot be that.
            Some(label) if label.to_ascii_lowercase().starts_with("utf-16") => Ok(Self::Utf8),
            Some(label) => Self::of_label(label),
            None => Ok(Self::Utf8),
        }
    }

    #[cfg(feature = "charset")]
    fn of_other(label: &str) -> Result<Self, Error> {
        match encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) if encoding == encoding_rs::UTF_8 => Ok(Self::Utf8),
            Some(encoding) => Ok(Self::Other(encoding)),
            None => Err(Self::unknown(label, "which is no charset that is known")),
        }
    }

    #[cfg(not(feature = "charset"))]
    fn of_other(label: &str) -> Result<Self, Error> {
        Err(Self::unknown(label, "and only UTF-8 is decoded"))
    }

    fn unknown(label: &str, why: &str) -> Error {
        Error::new(
            Kind::Decode,
            format!(
                "the response is text in `{}`, {why}: read it by `.bytes()`",
                label.escape_default()
            ),
        )
    }

    /// The text, or an error if the bytes are none. A byte order mark goes before what was declared, and is no part of the text.
    pub(crate) fn decode(self, bytes: Bytes) -> Result<String, Error> {
        match self.sniff(&bytes) {
            Self::Utf8 => String::from_utf8(without_bom(bytes).into()).map_err(|error| {
                Error::new(
                    Kind::Decode,
                    "the response body is not UTF-8: read it by `.bytes()` or `.text_lossy()`",
                )
                .with_source(error.utf8_error())
            }),
            #[cfg(feature = "charset")]
            Self::Other(encoding) => {
                let (text, is_lossy) = encoding.decode_with_bom_removal(&bytes);
                if is_lossy {
                    return Err(Error::new(
                        Kind::Decode,
                        format!(
                            "the response body is not {}: read it by `.bytes()` or `.text_lossy()`",
                            encoding.name()
                        ),
                    ));
                }
                Ok(text.into_owned())
            }
        }
    }

    /// The text, with U+FFFD for what is none.
    pub(crate) fn decode_lossy(self, bytes: Bytes) -> String {
        match self.sniff(&bytes) {
            Self::Utf8 => match String::from_utf8(without_bom(bytes).into()) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            },
            #[cfg(feature = "charset")]
            Self::Other(encoding) => encoding.decode_with_bom_removal(&bytes).0.into_owned(),
        }
    }

    #[cfg(feature = "charset")]
    fn sniff(self, bytes: &[u8]) -> Self {
        match encoding_rs::Encoding::for_bom(bytes) {
            Some((encoding, _)) if encoding == encoding_rs::UTF_8 => Self::Utf8,
            Some((encoding, _)) => Self::Other(encoding),
            None => self,
        }
    }

    #[cfg(not(feature = "charset"))]
    const fn sniff(self, _: &[u8]) -> Self {
        self
    }
}

/// The encoding in the declaration of an XML document, if it has one.
#[cfg(feature = "xml")]
fn declared(document: &[u8]) -> Option<&str> {
    let declaration = document.strip_prefix(b"<?xml")?;
    let end = declaration
        .iter()
        .take(256)
        .position(|&byte| byte == b'>')?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let value = declaration.split_once("encoding")?.1.trim_start();
    let value = value.strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(value[1..].split_once(quote)?.0)
}

/// UTF-8 needs no byte order mark, and JSON and text do not count it as content (RFC 8259 section 8.1).
pub(crate) fn without_bom(mut bytes: Bytes) -> Bytes {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    if bytes.starts_with(BOM) {
        bytes.advance(BOM.len());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn charset_is_read_in_any_spelling() {
        for (content_type, expected) in [
            ("text/plain", None),
            ("text/plain; charset=utf-8", Some("utf-8")),
            ("text/plain;CHARSET=\"UTF-8\"", Some("UTF-8")),
            ("text/html; level=1; charset = latin1", Some("latin1")),
            ("charset=latin1", None),
            ("text/plain; charset", None),
            ("text/plain; charset; charset=a", Some("a")),
            ("text/plain; x=\"; charset=b\"; charset=a", Some("a")),
            (
                "text/plain; x=\"\\\"; charset=b\"; charset=\"\\a\\\\\"",
                Some("a\\"),
            ),
            ("text/plain; charset=\"a", Some("a")),
            ("text/plain; charset=a; charset=b", Some("a")),
            ("text/plain; charset=", Some("")),
            ("text/plain;;charset=a", Some("a")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::CONTENT_TYPE,
                content_type.parse().expect("a header value"),
            );
            assert_eq!(charset(&headers).as_deref(), expected, "{content_type}");
        }
        assert_eq!(charset(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn a_quoted_value_comes_back(value in "[ -~]{0,20}", other in "[a-z=; ]{0,10}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let content_type = format!("text/plain; other=\"{other}\"; charset=\"{quoted}\"; x=y");
            prop_assert_eq!(parameter(&content_type, "charset"), Some(value.into()));
        }

        #[test]
        fn no_header_makes_it_panic(content_type in "\\PC*[;=\"\\\\]*\\PC*") {
            let _ = parameter(&content_type, "charset");
        }
    }
}
