//! What is logged of a call, and what is left out.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, Uri, header};
use tracing::Level;

use crate::{HeadersExt as _, error::redacted};

/// How much of a call is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Method, URI, status, version, time to the head of the response, time to its end, bytes of its body, and how it ended.
    #[default]
    Summary,
    /// The same, and the headers of both.
    Headers,
    /// The same, and this many bytes of both bodies, where they are text. Of a request, only if its body is whole.
    Body(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) level: Level,
    pub(super) detail: Detail,
    pub(super) redacted: Vec<HeaderName>,
    pub(super) shows_query: bool,
}

impl Settings {
    pub(super) fn uri(&self, uri: &Uri) -> String {
        let mut shown = redacted(uri).to_string();
        if let (true, Some(query)) = (self.shows_query, uri.query()) {
            shown.push('?');
            shown.push_str(query);
        }
        shown
    }

    pub(super) const fn has_headers(&self) -> bool {
        !matches!(self.detail, Detail::Summary)
    }

    pub(super) const fn most_of_a_body(&self) -> usize {
        match self.detail {
            Detail::Body(bytes) => bytes,
            Detail::Summary | Detail::Headers => 0,
        }
    }

    pub(super) fn headers(&self, headers: &HeaderMap) -> String {
        let mut shown = String::new();
        for (name, value) in headers {
            if !shown.is_empty() {
                shown.push_str("; ");
            }
            let _ = if value.is_sensitive() || self.redacted.contains(name) {
                write!(shown, "{name}: <redacted>")
            } else {
                write!(
                    shown,
                    "{name}: {}",
                    String::from_utf8_lossy(value.as_bytes())
                )
            };
        }
        shown
    }
}

/// Whether people can read it.
pub(super) fn is_text(headers: &HeaderMap) -> bool {
    // What is compressed is not.
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let Some(media_type) = headers.media_type() else {
        return false;
    };
    let lower = media_type.to_ascii_lowercase();
    lower.starts_with("text/")
        || lower.ends_with("+json")
        || lower.ends_with("+xml")
        || [
            "application/json",
            "application/xml",
            "application/x-www-form-urlencoded",
            "application/x-ndjson",
        ]
        .contains(&&*lower)
}

pub(super) fn text_of(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
}
