//! What fuzz targets call: the parsers of bytes that a peer sends. No part of the API.

/// Reads a body of parts in chunks of that size, until it ends, fails, or more would be needed.
#[cfg(feature = "multipart")]
pub fn multipart(body: &[u8], chunk: usize) {
    use super::multipart::{MultipartLimits, Parser, Pull};

    let limits = MultipartLimits::default().parts(16).head(512);
    let mut parser = Parser::new("b", limits);
    let mut chunks = body.chunks(chunk.max(1));
    let mut read = 0;
    loop {
        match parser.pull() {
            Ok(Pull::Hungry) => match chunks.next() {
                Some(chunk) => parser.push(chunk),
                None => return,
            },
            Ok(Pull::Data(data)) => {
                read += data.len();
                assert!(!data.is_empty() && read <= body.len());
            }
            Ok(Pull::Part(_) | Pull::PartEnd) => {}
            Ok(Pull::End) | Err(_) => return,
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
        let _ = content_type.parameter("charset");
    }
}
