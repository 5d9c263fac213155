//! What a request looks like on a connection, and what is kept of it to send it again.

use std::time::Duration;

use bartizan_core::Body;
use http::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{EXPECT, Entry, HOST, PROXY_AUTHORIZATION},
    uri::Authority,
};
use http_body::Body as _;
use hyper::ext::Protocol;

use super::super::{connection::Conn, core::Speaks, send_body::SendBody};
use crate::kept_headers::KeptHeaders;

/// What is needed to send a request a second time, if some of it was written the first.
pub(super) struct Copy {
    headers: KeptHeaders,
    body: Body,
    /// What a `CONNECT` of HTTP/2 asks for (RFC 8441), if that is more than a tunnel: the only extension that goes over the wire.
    protocol: Option<Protocol>,
}

impl Copy {
    /// Of one whose body costs nothing to copy.
    pub(super) fn of(request: &Request<SendBody>) -> Option<Self> {
        Some(Self {
            body: request.body().try_clone()?,
            headers: KeptHeaders::of(request.headers()),
            protocol: match *request.method() {
                Method::CONNECT => request.extensions().get().cloned(),
                _ => None,
            },
        })
    }

    pub(super) fn into_request(self, method: Method) -> Request<SendBody> {
        let mut request = Request::new(SendBody::new(self.body));
        *request.method_mut() = method;
        *request.headers_mut() = self.headers.to_map();
        if let Some(protocol) = self.protocol {
            request.extensions_mut().insert(protocol);
        }
        request
    }
}

/// Headers that are ours, to be taken out again if the request goes over another connection.
#[derive(Clone, Copy, Default)]
pub(super) struct Added {
    host: bool,
    credentials: bool,
}

impl Added {
    pub(super) fn remove(self, headers: &mut HeaderMap) {
        if self.host {
            headers.remove(HOST);
        }
        if self.credentials {
            headers.remove(PROXY_AUTHORIZATION);
        }
    }
}

/// The form of the request that this connection takes.
pub(super) fn prepare(request: &mut Request<SendBody>, uri: &Uri, conn: &Conn) -> Added {
    *request.version_mut() = conn.control.version();
    let mut added = Added::default();
    if conn.speaks() == Speaks::Http2 {
        *request.uri_mut() = with_host(uri, request.headers_mut());
        return added;
    }
    // Three of the forms of RFC 9112 section 3.2.
    *request.uri_mut() = match (uri.authority(), uri.path_and_query()) {
        (Some(authority), _) if request.method() == Method::CONNECT => Uri::from(authority.clone()),
        (_, Some(path)) if !conn.control.connected.is_proxied() => Uri::from(path.clone()),
        _ => uri.clone(),
    };
    let headers = request.headers_mut();
    // Hardly any has its own, and to look for that first is to hash the name twice.
    match headers.insert(HOST, conn.host.clone()) {
        Some(own) => drop(headers.insert(HOST, own)),
        None => added.host = true,
    }
    if let Some(credentials) = conn.control.connected.proxy_authorization() {
        // In a tunnel the proxy has had them, and whoever is at its end shall not.
        if conn.control.connected.is_proxied() {
            if let Entry::Vacant(entry) = headers.entry(PROXY_AUTHORIZATION) {
                entry.insert(credentials.clone());
                added.credentials = true;
            }
        }
    }
    added
}

/// HTTP/2 has the host in a field of its own, and a `Host` beside it must say the same (RFC 9113 section 8.3.1).
pub(super) fn with_host(uri: &Uri, headers: &mut HeaderMap) -> Uri {
    let host = headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(host) = host else {
        return uri.clone();
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(host);
    match Uri::from_parts(parts) {
        Ok(uri) => {
            headers.remove(HOST);
            uri
        }
        Err(_) => uri.clone(),
    }
}

/// Holds the body back that the peer is to ask for (RFC 9110 section 10.1.1).
pub(super) fn hold(request: &mut Request<SendBody>, timeout: Option<Duration>) {
    // Most have none, and are not asked for more than that.
    let Some(timeout) = timeout.filter(|_| !request.body().is_end_stream()) else {
        return;
    };
    let expects = request
        .headers()
        .get(EXPECT)
        .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !expects {
        return;
    }
    let upload = request.body_mut().hold(timeout);
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            upload.go();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, what is asked for the second time is a tunnel.
    #[test]
    fn a_copy_asks_for_the_same_protocol() {
        let mut request = Request::new(SendBody::new(Body::empty()));
        *request.method_mut() = Method::CONNECT;
        let websocket = Protocol::from_static("websocket");
        request.extensions_mut().insert(websocket.clone());
        let copy = Copy::of(&request).expect("the body is empty");
        let request = copy.into_request(Method::CONNECT);
        assert_eq!(request.extensions().get(), Some(&websocket));
    }
}
