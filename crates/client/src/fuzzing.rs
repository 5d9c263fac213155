//! What fuzz targets call: the parsers of bytes that a peer sends. No part of the API.

/// Reads the `Location` of a response to a request for `base`.
#[cfg(feature = "redirect")]
pub fn location(base: &http::Uri, location: &[u8]) {
    crate::redirect::location::check(base, location);
}
