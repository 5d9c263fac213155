//! Which call it is that errors are about.

use std::fmt;

use bartizan_core::Attempt;
use http::{Extensions, Method, Request, Uri, uri::Parts};

use crate::{call_timeout::Deadline, pool::ConnectionInfo, response::Times};

/// Which call an error is about, and what else reading its response needs to know. Kept in the response's extensions, in one value:
/// each value there is an allocation.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// As far as it is known.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) times: Option<Times>,
    pub(crate) deadline: Option<Deadline>,
}

impl Call {
    pub(crate) const fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            attempt: None,
            times: None,
            deadline: None,
        }
    }

    /// Copies no text: a URI is shared bytes.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            attempt: request.extensions().get().copied(),
            ..Self::new(request.method().clone(), request.uri().clone())
        }
    }

    pub(crate) const fn with_attempt(mut self, attempt: Attempt) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// The call that a response answers, as whoever sent it has said, or else the transport.
    pub(crate) fn answered_by(extensions: &mut Extensions) -> Option<Self> {
        match extensions.remove() {
            Some(call) => Some(call),
            None => extensions.get_mut::<ConnectionInfo>()?.take_call(),
        }
    }

    pub(crate) fn redacted(mut self) -> Self {
        self.uri = redacted(&self.uri);
        self
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, redacted(&self.uri))
    }
}

/// `uri` without what may be secret: its query and its user information.
pub(crate) fn redacted(uri: &Uri) -> Uri {
    let mut parts = Parts::default();
    parts.scheme = uri.scheme().cloned();
    parts.authority =
        uri.authority()
            .and_then(|authority| match authority.as_str().rsplit_once('@') {
                Some((_, host)) => host.parse().ok(),
                None => Some(authority.clone()),
            });
    parts.path_and_query = match uri.query() {
        Some(_) => uri.path().parse().ok(),
        None => uri.path_and_query().cloned(),
    };
    Uri::from_parts(parts).unwrap_or_default()
}

/// The same for text that is no URI.
pub(crate) fn redacted_text(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (rest, None),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let mut redacted = String::with_capacity(text.len());
    if let Some(scheme) = scheme {
        redacted.push_str(scheme);
        redacted.push_str("://");
    }
    redacted.push_str(host);
    if let Some(path) = path {
        redacted.push('/');
        redacted.push_str(path);
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_uri_are_not_shown() {
        for (uri, shown) in [
            ("http://h:1/a?token=secret", "http://h:1/a"),
            ("http://me:secret@h/a", "http://h/a"),
            ("http://me:secret@h?secret", "http://h/"),
            ("http://h", "http://h/"),
            ("/a?secret", "/a"),
            ("/a", "/a"),
            ("h:1", "h:1"),
            ("*", "*"),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(redacted(&uri).to_string(), shown, "{uri}");
        }
    }

    #[test]
    fn secrets_of_what_is_no_uri_are_not_shown() {
        for (text, shown) in [
            ("http://h o/a?secret", "http://h o/a"),
            ("http://me:secret@h o/a#secret", "http://h o/a"),
            ("/a b?secret", "/a b"),
            ("a@b c", "b c"),
            ("", ""),
        ] {
            assert_eq!(redacted_text(text), shown, "{text}");
        }
    }
}
