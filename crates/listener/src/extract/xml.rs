//! Bodies of XML.

use std::{borrow::Cow, mem, ops::Deref};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{Response, request::Parts};
use quick_xml::{Reader, events::Event};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    ContentType, ExtractError, FromBody, Pointer, Respond, charset, limits, reason, respond, text,
};

/// As `serde_json` has it: each level is a frame on the stack.
const DEPTH: usize = 128;
/// Namespaces in scope: each of them is compared with every prefix below.
const NAMESPACES: usize = 64;

/// A body of XML: of `application/xml`, `text/xml`, or what ends in `+xml` (RFC 7303).
///
/// Its charset is that of the byte order mark, of the `Content-Type`, or of the XML declaration, in this order (RFC 7303 section 3); other
/// than UTF-8 it needs the feature `charset`. Names are those of [`quick_xml::de`]: `@id` is an attribute, `$text` the text of an element.
///
/// A document type is refused, as entities are defined there, and files and networks are read by them. So is nesting of more than 128
/// levels, and more than 64 namespaces in scope, or a small document could take up a thread, or a stack.
///
/// What is no XML is 400. What is, and has no place in a `T`, is 422, with a pointer to it.
///
/// As a response it is `application/xml` in UTF-8, whose root element has the name of the type.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{FromBody, Respond, Xml};
/// use http::Request;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Deserialize, Serialize)]
/// struct Book {
///     #[serde(rename = "@year")]
///     year: u16,
///     title: String,
/// }
///
/// async fn book(xml: &'static str) -> Result<Xml<Book>, bartizan_listener::extract::ExtractError> {
///     let request = Request::post("/").header("content-type", "application/xml").body(Body::from(xml)).unwrap();
///     let (head, body) = request.into_parts();
///     Xml::from_body(&head, body).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let known = book(r#"<book year="1851"><title>Moby-Dick</title></book>"#).await.unwrap();
/// assert_eq!((known.year, &known.title[..]), (1851, "Moby-Dick"));
/// assert!(known.respond().body().whole().unwrap().ends_with(b"<Book year=\"1851\"><title>Moby-Dick</title></Book>"));
///
/// let error = book(r#"<book year="1851"/>"#).await.unwrap_err();
/// assert_eq!(error.to_string(), "the XML is not what is expected: #/title is missing");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xml<T>(pub T);

impl<T> Deref for Xml<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromBody for Xml<T> {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        let is_xml = |it: &ContentType<'_>| {
            it.is("application/xml") || it.is("text/xml") || it.has_suffix("+xml")
        };
        let content_type = ContentType::of(&head.headers)?.filter(is_xml);
        let content_type = content_type.ok_or_else(|| super::not_of("application/xml"))?;
        let label = content_type.parameter("charset")?;
        let bytes = limits::whole(head, body).await?;
        parse(bytes, label.as_deref()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: Bytes, label: Option<&str>) -> Result<T, ExtractError> {
    let label = label.map(Cow::Borrowed).or_else(|| declared(&bytes));
    let xml = charset::decode(bytes, label.as_deref())?;
    check(&xml)?;
    let mut deserializer = quick_xml::de::Deserializer::from_str(&xml);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let at = Pointer::from(error.path());
        // What it says of syntax has names and values of the peer's in it, as what it says of values has.
        let field = reason::of(&error.into_inner().to_string(), at);
        ExtractError::invalid_content("the XML is not what is expected", vec![field])
    })
}

/// The encoding of the XML declaration, of bytes in which it can be read before it is known: all that ASCII is a part of.
fn declared(bytes: &[u8]) -> Option<Cow<'static, str>> {
    let start = &bytes[..bytes.len().min(200)];
    let start = String::from_utf8_lossy(start);
    let declaration = start.strip_prefix("<?xml")?.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = value[1..].split_once(quote)?.0;
    Some(label.to_owned().into())
}

/// Whether a deserialiser can be let loose on it: it is well-formed, and within bounds that quick-xml has none for.
fn check(xml: &str) -> Result<(), ExtractError> {
    let mut reader = Reader::from_str(xml);
    // The namespaces that each open element declares.
    let mut open: Vec<usize> = Vec::new();
    let mut in_scope = 0;
    let mut has_root = false;
    let malformed = |at: u64| ExtractError::malformed(format!("the body is not XML: byte {at}"));
    loop {
        let event = reader.read_event();
        let event = event.map_err(|_| malformed(reader.error_position()))?;
        let (element, is_open) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(_) => {
                in_scope -= open.pop().unwrap_or_default();
                continue;
            }
            Event::DocType(_) => {
                return Err(ExtractError::malformed(
                    "the XML has a document type, which is not read",
                ));
            }
            Event::Eof if open.is_empty() && has_root => return Ok(()),
            Event::Eof => return Err(malformed(reader.buffer_position())),
            Event::Text(text)
                if open.is_empty() && text.iter().any(|it| !it.is_ascii_whitespace()) =>
            {
                return Err(malformed(reader.buffer_position()));
            }
            Event::CData(_) | Event::GeneralRef(_) if open.is_empty() => {
                return Err(malformed(reader.buffer_position()));
            }
            _ => continue,
        };
        if open.is_empty() && mem::replace(&mut has_root, true) {
            // quick-xml would read the first root, and another recipient perhaps the second.
            return Err(malformed(reader.buffer_position()));
        }
        let mut declared = 0;
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|_| malformed(reader.buffer_position()))?;
            declared += usize::from(attribute.key.as_ref().starts_with(b"xmlns"));
        }
        if in_scope + declared > NAMESPACES {
            return Err(ExtractError::malformed(format!(
                "the XML has more than {NAMESPACES} namespaces in scope"
            )));
        }
        if is_open {
            if open.len() == DEPTH {
                return Err(ExtractError::malformed(format!(
                    "the XML nests deeper than {DEPTH} levels"
                )));
            }
            open.push(declared);
            in_scope += declared;
        }
    }
}

impl<T: Serialize> Respond for Xml<T> {
    fn respond(self) -> Response<Body> {
        let mut xml = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        let serializer = quick_xml::se::Serializer::new(&mut xml);
        match self.0.serialize(serializer) {
            Ok(_) => text::typed("application/xml", xml),
            Err(error) => respond::unwritable("XML", &BoxError::from(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Node {
        #[serde(default)]
        node: Vec<Self>,
        #[serde(default, rename = "@n")]
        number: u8,
    }

    fn node(xml: impl Into<Bytes>) -> Result<Node, ExtractError> {
        parse(xml.into(), None)
    }

    #[test]
    fn what_is_no_xml_is_malformed_and_what_does_not_fit_is_invalid() {
        for xml in [
            "<node>",
            "<node></nod>",
            "<node",
            "<node n='1' n='2'/>",
            "<node n=1/>",
            "",
            "text",
            "<node/>text",
            "&lt;<node/>",
            "<node/><node/>",
        ] {
            let error = node(xml).expect_err(xml);
            assert!(error.is_malformed(), "{xml}: {error}");
        }
        let error = node("<node><node n='my secret'/></node>").expect_err("no number");
        assert!(error.is_invalid());
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert_eq!(error.fields()[0].pointer(), Some("#/node/0/@n"));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |levels| "<node>".repeat(levels) + &"</node>".repeat(levels);
        let outer = node(nested(DEPTH)).expect("as deep as allowed");
        assert_eq!((outer.node.len(), outer.number), (1, 0));
        for levels in [DEPTH + 1, 100_000] {
            let error = node(nested(levels)).expect_err("too deep");
            assert!(error.is_malformed());
            assert!(error.to_string().contains("128"));
        }
    }

    #[test]
    fn document_types_and_entities_are_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><node>&b;</node>";
        assert!(node(bomb).expect_err("a DTD").is_malformed());
        let file = "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><node/>";
        assert!(node(file).expect_err("a DTD").is_malformed());
        let read: String = parse(Bytes::from("<s>&lt;&#65;</s>"), None).expect("predefined");
        assert_eq!(read, "<A");
        parse::<String>(Bytes::from("<s>&mine;</s>"), None).expect_err("an entity of its own");
    }

    #[test]
    fn many_attributes_and_namespaces_cost_no_time() {
        let started = tokio::time::Instant::now();
        let many = |kind: &str| {
            let list: String = (0..90_000).map(|n| format!(" {kind}{n}=''")).collect();
            format!("<node{list}>{}</node>", "<a:b/>".repeat(20_000))
        };
        node(many("a")).expect("attributes are ignored");
        assert!(node(many("xmlns:n")).expect_err("too many").is_malformed());
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn the_declaration_tells_the_charset_if_nothing_else_does() {
        for (xml, expected) in [
            ("<?xml version='1.0' encoding='latin1'?>", Some("latin1")),
            (
                "<?xml version=\"1.0\" encoding = \"UTF-8\" ?>",
                Some("UTF-8"),
            ),
            ("<?xml version='1.0'?><a encoding='x'/>", None),
            ("<a/>", None),
            ("<?xml encoding='", None),
        ] {
            assert_eq!(declared(xml.as_bytes()).as_deref(), expected, "{xml}");
        }
        let latin1 = Bytes::from_static(b"<?xml version='1.0' encoding='latin1'?><s>\xe4</s>");
        let read = parse::<String>(latin1.clone(), None);
        if cfg!(feature = "charset") {
            assert_eq!(read.expect("decoded"), "ä");
        } else {
            assert!(read.expect_err("not decoded").is_unsupported());
        }
        assert!(
            parse::<String>(latin1, Some("utf-8"))
                .expect_err("no UTF-8")
                .is_malformed()
        );
    }
}
