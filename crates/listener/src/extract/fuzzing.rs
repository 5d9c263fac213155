//! What fuzz targets call: the parsers of bytes that a peer sends. No part of the API.

/// Reads a body of parts in chunks of that size and whole, until it ends, fails, or more would be needed.
///
/// # Panics
///
/// If that is not the same.
#[cfg(feature = "multipart")]
pub fn multipart(body: &[u8], chunk: usize) {
    assert_eq!(parts(body, chunk), parts(body, body.len()));
}

/// What came of each part, and how it ended.
#[cfg(feature = "multipart")]
fn parts(body: &[u8], chunk: usize) -> Vec<String> {
    use super::multipart::{MultipartLimits, Parser, Pull};

    let limits = MultipartLimits::default().parts(16).head(512).part(1024);
    let mut parser = Parser::new("b", limits);
    let mut chunks = body.chunks(chunk.max(1));
    let (mut told, mut data) = (Vec::new(), Vec::new());
    let mut read = 0;
    loop {
        match parser.pull() {
            Ok(Pull::Hungry) => match chunks.next() {
                Some(chunk) => parser.push(chunk),
                None => return told,
            },
            Ok(Pull::Data(piece)) => {
                read += piece.len();
                assert!(!piece.is_empty() && read <= body.len());
                data.extend(piece);
                assert!(data.len() <= 1024);
            }
            Ok(Pull::Part(head)) => {
                data.clear();
                told.push(format!("{head:?}"));
            }
            Ok(Pull::PartEnd) => told.push(format!("{data:?}")),
            Ok(Pull::End) => {
                told.push("the end".to_owned());
                return told;
            }
            Err(fault) => {
                told.push(format!("{fault:?}"));
                return told;
            }
        }
    }
}

/// Reads a `Content-Type` and its charset.
pub fn content_type(value: &[u8]) {
    let Ok(value) = http::HeaderValue::from_bytes(value) else {
        return;
    };
    let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, value)]);
    if let Ok(Some(content_type)) = super::ContentType::of(&headers) {
        if let Ok(Some(charset)) = content_type.parameter("charset") {
            assert!(charset.len() <= headers[http::header::CONTENT_TYPE].len());
        }
    }
}
