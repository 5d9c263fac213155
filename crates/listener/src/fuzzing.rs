//! The parsers of what peers send, for fuzz targets. No part of the API: it changes without notice.
//!
//! Each panics if what it reads does not keep a promise, such as that what is written is read again.

use crate::{
    caching, forwarded, host,
    negotiation::{self, MediaRange, MediaType},
    path,
    proxy_protocol::{self, Parsed},
};

/// `Forwarded`, and the nodes of `X-Forwarded-For`.
pub fn forwarded(text: &str) {
    if let Some(elements) = forwarded::parse(text) {
        assert!(elements.len() <= text.matches(',').count() + 1);
        for element in elements {
            let quoted = |name: &str, value: &Option<String>| {
                let value = value.as_ref()?.replace('\\', "\\\\").replace('"', "\\\"");
                Some(format!("{name}=\"{value}\""))
            };
            let written: Vec<String> = [
                quoted("for", &element.client),
                quoted("proto", &element.proto),
                quoted("host", &element.host),
                // There has to be something.
                Some("by=_us".to_owned()),
            ]
            .into_iter()
            .flatten()
            .collect();
            assert_eq!(forwarded::parse(&written.join(";")), Some(vec![element]));
        }
    }
    if let Some(ip) = forwarded::node_ip(text) {
        assert_eq!(forwarded::node_ip(&ip.to_string()), Some(ip));
        let node = std::net::SocketAddr::new(ip, 80).to_string();
        assert_eq!(forwarded::node_ip(&node), Some(ip));
    }
}

/// `Accept`, and `Content-Type`.
pub fn negotiation(text: &str) {
    let offers = ["text/html;level=1", "application/json"].map(str::parse);
    let offers: Vec<MediaType> = offers.into_iter().flatten().collect();
    let choose = |fields: &[&str]| {
        let chosen = negotiation::negotiate(fields.iter().copied(), &offers);
        chosen.map(|chosen| {
            let place = offers.iter().position(|offer| std::ptr::eq(offer, chosen));
            place.expect("one of the offers")
        })
    };
    // A list may be cut at its commas into several fields (RFC 9110 section 5.3).
    if let (Some((one, other)), false) = (text.split_once(','), text.contains('"')) {
        assert_eq!(choose(&[text]), choose(&[one, other]));
    }
    if let Ok(media_type) = text.parse::<MediaType>() {
        let again: MediaType = media_type.as_str().parse().expect("it was read once");
        assert_eq!(again.as_str(), media_type.as_str());
        assert_eq!(again.parameter("charset"), media_type.parameter("charset"));
        let (main, _) = media_type.essence().split_once('/').expect("a slash");
        for range in [media_type.as_str(), &format!("{main}/*"), "*/*"] {
            let range: MediaRange = range.parse().expect("a range");
            assert!(range.matches(&media_type), "{range}");
        }
    }
}

/// Lists of entity tags.
pub fn entity_tags(text: &str) {
    let tags: Vec<_> = caching::tags(text).collect();
    let mut written = Vec::new();
    for tag in &tags {
        assert_eq!(
            caching::EntityTag::parse(&tag.to_string()).as_ref(),
            Some(tag)
        );
        assert!(tag.weak_eq(tag) && tag.strong_eq(tag) != tag.is_weak());
        written.push(tag.to_string());
    }
    assert!(caching::tags(&written.join(", ")).eq(tags));
}

/// `Host`.
pub fn host(text: &str) {
    let Some(authority) = host::Authority::parse(text) else {
        return;
    };
    let host = authority.host();
    assert!(!host.is_empty() && !host.bytes().any(|byte| byte.is_ascii_uppercase()));
    let written = match authority.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    assert_eq!(host::Authority::parse(&written), Some(authority));
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
        let Ok(once) = path::canonical(text, slash) else {
            continue;
        };
        assert_eq!(path::canonical(&once, slash).as_deref(), Ok(&*once));
        assert!(once.starts_with('/') && !once.contains("//") && !once.contains('\\'));
        assert!(!once.split('/').any(|segment| matches!(segment, "." | "..")));
        let has_slash = ["%2F", "%2f", "%5C", "%5c"]
            .iter()
            .any(|slash| once.contains(slash));
        assert!(!has_slash || slash == path::EncodedSlash::Keep, "{once}");
    }
}

/// The frames of HTTP/2, in pieces of that size and whole.
pub fn frames(bytes: &[u8], piece: usize) {
    let whole = crate::http::read_frames(bytes, bytes.len().max(1));
    assert_eq!(whole, crate::http::read_frames(bytes, piece.max(1)));
}

/// PROXY headers, of which no more than `max` bytes are allowed, and the same cut off after `cut`.
pub fn proxy_header(bytes: &[u8], max: usize, cut: usize) {
    let Ok(Parsed::Header { header, len }) = proxy_protocol::parse(bytes, max) else {
        return;
    };
    assert!(len <= max && len <= bytes.len());
    let Ok(Parsed::Header {
        header: again,
        len: again_len,
    }) = proxy_protocol::parse(&bytes[..len], max)
    else {
        panic!("what follows a header is none of its business");
    };
    assert_eq!((&again, again_len), (&header, len));
    let short = proxy_protocol::parse(&bytes[..cut % len], max);
    assert!(matches!(short, Ok(Parsed::Incomplete)), "{short:?}");
    let tlvs = header.tlvs();
    let known: usize = tlvs.clone().map(|tlv| 3 + tlv.value.len()).sum();
    assert_eq!(known, tlvs.as_bytes().len(), "each to its last byte");
    let _ = (header.tls(), header.authority(), header.namespace());
}
