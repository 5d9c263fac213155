//! The parsers of what peers send, for fuzz targets. No part of the API: it changes without notice.

use crate::{caching, forwarded, host, negotiation, path};

/// `Forwarded`, and the nodes of `X-Forwarded-For`.
pub fn forwarded(text: &str) {
    let _ = forwarded::parse(text);
    let _ = forwarded::node_ip(text);
}

/// `Accept`, and `Content-Type`.
pub fn negotiation(text: &str) {
    let offers = ["text/html;level=1", "application/json"].map(str::parse);
    let offers: Vec<negotiation::MediaType> = offers.into_iter().flatten().collect();
    let chosen = negotiation::negotiate([text], &offers);
    assert!(
        chosen.is_none_or(|chosen| offers.iter().any(|offer| offer.as_str() == chosen.as_str()))
    );
    if let Ok(media_type) = text.parse::<negotiation::MediaType>() {
        let _ = media_type.parameter("charset");
    }
}

/// Lists of entity tags.
pub fn entity_tags(text: &str) {
    for tag in caching::tags(text) {
        assert_eq!(caching::EntityTag::parse(&tag.to_string()), Some(tag));
    }
}

/// `Host`.
pub fn host(text: &str) {
    let _ = host::Authority::parse(text);
}

/// Paths.
pub fn path(text: &str) {
    if !text.starts_with('/') {
        return;
    }
    for slash in [
        path::EncodedSlash::Refuse,
        path::EncodedSlash::Keep,
        path::EncodedSlash::Decode,
    ] {
        if let Ok(once) = path::canonical(text, slash) {
            assert_eq!(path::canonical(&once, slash).as_deref(), Ok(&*once));
        }
    }
}

/// Reads the frames of HTTP/2 in pieces of that size.
pub fn frames(bytes: &[u8], piece: usize) {
    crate::http::read_frames(bytes, piece.max(1));
}
