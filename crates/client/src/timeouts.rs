//! How long each phase of a call may take.

use std::time::Duration;

/// How long each phase of a call may take. `None` is no limit.
///
/// Set for a whole transport, or for one request as its extension, which then replaces all of the transport's. A limit for the whole
/// call, redirects and all, is a layer's business: see [`CallTimeoutLayer`](crate::CallTimeoutLayer).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Waiting for a connection: for one to come free, or for a new one to be made. Default: 30 s, which is above the three phases of
    /// making one together.
    pub acquire: Option<Duration>,
    /// From a name to its addresses. Default: 5 s.
    pub resolve: Option<Duration>,
    /// TCP, to all addresses of the host together; and once more for the proxy's tunnel, if there is one. Default: 5 s, which leaves room for two lost packets.
    pub connect: Option<Duration>,
    /// The TLS handshake. Default: 10 s.
    pub tls: Option<Duration>,
    /// A write to the socket that makes no progress. Default: 30 s. Over HTTP/2 that of the request sent last, as they share a socket.
    pub write: Option<Duration>,
    /// How long a request that [expects](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1) `100-continue` waits for it before it
    /// sends its body anyway. Default: 1 s. `None` does not wait, and neither does HTTP/2, over which hyper does
    /// not tell: there the expectation is sent, and the body after it.
    pub expect_continue: Option<Duration>,
    /// From the end of the request to the head of the response. Default: none, as only the caller knows how long an answer may take. A
    /// body that is [whole](bartizan_core::Body::whole) is handed over in one piece, so sending it counts as well.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the response body. Default: 30 s.
    pub read: Option<Duration>,
}

impl Timeouts {
    /// The defaults above.
    pub const fn new() -> Self {
        Self {
            acquire: Some(Duration::from_secs(30)),
            resolve: Some(Duration::from_secs(5)),
            connect: Some(Duration::from_secs(5)),
            tls: Some(Duration::from_secs(10)),
            write: Some(Duration::from_secs(30)),
            expect_continue: Some(Duration::from_secs(1)),
            first_byte: None,
            read: Some(Duration::from_secs(30)),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}
