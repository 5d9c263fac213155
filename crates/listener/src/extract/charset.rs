//! Bytes as text.

use bytes::{Buf, Bytes};

use super::ExtractError;

/// The text that `bytes` are in the charset of that label, or in UTF-8 if there is none. A byte order mark goes before what was declared,
/// and is no part of the text.
///
/// US-ASCII is UTF-8 too, with every feature. The WHATWG takes it for windows-1252, which would make the text depend on a feature.
pub(crate) fn decode(bytes: Bytes, label: Option<&str>) -> Result<String, ExtractError> {
    let label = label.map_or("utf-8", str::trim);
    let is_utf8 = ["utf-8", "utf8", "us-ascii", "ascii"]
        .into_iter()
        .any(|known| label.eq_ignore_ascii_case(known));
    if !is_utf8 {
        return decode_other(bytes, label);
    }
    #[cfg(feature = "charset")]
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(&bytes) {
        return decode_by(encoding, bytes);
    }
    decode_utf8(bytes)
}

pub(crate) fn decode_utf8(bytes: Bytes) -> Result<String, ExtractError> {
    String::from_utf8(without_bom(bytes).into()).map_err(|error| {
        ExtractError::malformed("the text is not UTF-8").with_source(error.utf8_error())
    })
}

#[cfg(feature = "charset")]
fn decode_other(bytes: Bytes, label: &str) -> Result<String, ExtractError> {
    use encoding_rs::Encoding;

    let declared = Encoding::for_label_no_replacement(label.as_bytes())
        .ok_or_else(|| ExtractError::unsupported("no charset has the name that the text is in"))?;
    let encoding = Encoding::for_bom(&bytes).map_or(declared, |(encoding, _)| encoding);
    decode_by(encoding, bytes)
}

#[cfg(feature = "charset")]
fn decode_by(
    encoding: &'static encoding_rs::Encoding,
    bytes: Bytes,
) -> Result<String, ExtractError> {
    if encoding == encoding_rs::UTF_8 {
        return decode_utf8(bytes);
    }
    let (text, is_lossy) = encoding.decode_with_bom_removal(&bytes);
    if is_lossy {
        return Err(ExtractError::malformed(format!(
            "the text is not {}",
            encoding.name()
        )));
    }
    Ok(text.into_owned())
}

#[cfg(not(feature = "charset"))]
fn decode_other(_: Bytes, _: &str) -> Result<String, ExtractError> {
    Err(ExtractError::unsupported(
        "text is read in UTF-8, and in no other charset",
    ))
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
    use super::*;

    #[test]
    fn utf8_needs_no_feature() {
        for label in [None, Some("utf-8"), Some(" UTF8 "), Some("US-ASCII")] {
            let text = decode(Bytes::from("\u{feff}ä"), label);
            assert_eq!(text.expect("UTF-8"), "ä", "{label:?}");
        }
        let error = decode(Bytes::from_static(b"\xff"), None).expect_err("not UTF-8");
        assert!(error.is_malformed());
        let error = decode(Bytes::from("a"), Some("klingon")).expect_err("no charset");
        assert!(error.is_unsupported());
    }

    #[cfg(feature = "charset")]
    #[test]
    fn other_charsets_are_decoded() {
        for (bytes, label, expected) in [
            (&b"\xe4"[..], "latin1", "ä"),
            (b"\x82\xa0", "shift_jis", "あ"),
            (b"\xff\xfea\0", "utf-8", "a"),
            (b"\xef\xbb\xbf\xc3\xa4", "latin1", "ä"),
        ] {
            let text = decode(Bytes::from_static(bytes), Some(label));
            assert_eq!(text.expect("text"), expected, "{label}");
        }
        let error = decode(Bytes::from_static(b"\x82"), Some("shift_jis"));
        assert!(error.expect_err("half a character").is_malformed());
        // Replacement: a charset that never decodes.
        let error = decode(Bytes::from("a"), Some("iso-2022-kr"));
        assert!(error.expect_err("refused").is_unsupported());
    }
}
