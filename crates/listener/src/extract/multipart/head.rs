//! The head of a part.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{extract::ContentType, negotiation::Parameters};

/// As many as anybody sends, and some more: RFC 7578 knows two.
const HEADERS: usize = 16;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl PartHead {
    /// Of lines that each end in CRLF.
    pub(super) fn parse(head: &[u8]) -> Result<Self, &'static str> {
        let mut headers = HeaderMap::new();
        let mut rest = head;
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\r\n").ok_or(LINE)?;
            let (name, value) = field(&rest[..end]).ok_or(LINE)?;
            rest = &rest[end + 2..];
            if headers.len() == HEADERS {
                return Err("a part has too many header fields");
            }
            if headers.insert(name, value).is_some() {
                return Err("a part has two header fields of one name");
            }
        }
        let disposition = headers.get(header::CONTENT_DISPOSITION).ok_or(NAMELESS)?;
        // Names and file names are UTF-8 as it is (RFC 7578 section 5.1).
        let disposition = std::str::from_utf8(disposition.as_bytes())
            .map_err(|_| "the name of a part is not UTF-8")?;
        let (kind, parameters) = disposition.split_at(disposition.find(';').ok_or(NAMELESS)?);
        if !kind.trim_end().eq_ignore_ascii_case("form-data") {
            return Err(NAMELESS);
        }
        let parameters = Parameters::parse(parameters).ok_or(NAMELESS)?;
        let parameter = |name| parameters.only(name).map_err(|_| NAMELESS);
        let name = parameter("name")?.ok_or(NAMELESS)?.file_name().into_owned();
        let file_name = parameter("filename")?.map(|value| value.file_name().into_owned());
        if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
            let text = content_type.to_str().map_err(|_| CONTENT_TYPE)?;
            ContentType::parse(text).ok_or(CONTENT_TYPE)?;
        }
        Ok(Self {
            name,
            file_name,
            headers,
        })
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }
}

const LINE: &str = "a header field of a part is malformed";
const NAMELESS: &str = "a part has no well-formed Content-Disposition with its name";
const CONTENT_TYPE: &str = "the Content-Type of a part is malformed";

/// Neither a space before the colon nor a line that goes on: both have been read in two ways (RFC 9112 section 5).
fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', line)?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = line[colon + 1..].trim_ascii();
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: impl AsRef<[u8]>) -> Result<PartHead, &'static str> {
        PartHead::parse(head.as_ref())
    }

    #[test]
    fn names_are_as_browsers_and_curl_write_them() {
        for (parameters, name, file_name) in [
            ("name=\"a\"", "a", None),
            ("name=a; filename=b", "a", Some("b")),
            ("name=\"\"; filename=\"\"", "", Some("")),
            ("name=\"a\"; filename=\"ü.txt\"", "a", Some("ü.txt")),
            (
                "name=\"a\"; filename=\"C:\\dir\\x\"",
                "a",
                Some("C:\\dir\\x"),
            ),
            (
                "name=\"a\\\"b\"; filename=\";name=c\"",
                "a\"b",
                Some(";name=c"),
            ),
            ("name=\"a%22b\"", "a%22b", None),
            ("filename*=UTF-8''x; name=a", "a", None),
        ] {
            let head = parse(format!("content-disposition: form-data; {parameters}\r\n"));
            let head = head.expect(parameters);
            assert_eq!(
                (&head.name[..], head.file_name.as_deref()),
                (name, file_name)
            );
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let named = "Content-Disposition: form-data; name=a\r\n";
        for head in [
            "",
            "\r\n",
            "Content-Type: text/plain\r\n",
            "Content-Disposition: form-data\r\n",
            "Content-Disposition: form-data; filename=a\r\n",
            "Content-Disposition: attachment; name=a\r\n",
            "Content-Disposition: form-data; name=a; name=b\r\n",
            "Content-Disposition: form-data; name=\"a\r\n",
            "Content-Disposition : form-data; name=a\r\n",
            &format!("{named}{named}"),
            &format!("{named} folded: x\r\n"),
            &format!("{named}no colon\r\n"),
            &format!("{named}Content-Type: text\r\n"),
            &format!("{named}a: b\nc: d\r\n"),
            &(0..20).fold(named.to_owned(), |head, n| head + &format!("x-{n}: y\r\n")),
        ] {
            parse(head).expect_err(head);
        }
        parse(b"Content-Disposition: form-data; name=\"\xff\"\r\n").expect_err("not UTF-8");
    }
}
