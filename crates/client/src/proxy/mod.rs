//! Proxies: which of them a connection goes through, and how.
//!
//! [`Proxies`] chooses, by the environment or by rules of one's own; [`ProxyLayer`] puts that above a connector, and talks to the
//! proxy: HTTP with `CONNECT`, HTTPS, SOCKS in its three versions. One request may go another way by
//! [`ConnectOptions::proxy`](crate::connect::ConnectOptions::proxy) or [`direct`](crate::connect::ConnectOptions::direct).
//!
//! Nothing is proxied unless it is asked for: the environment is read by [`Proxies::try_from_env`] and by nothing else.
//!
//! # Placement
//!
//! The route is decided where a connection is made, not where a request is: it depends on the origin and on the request's
//! `ConnectOptions` alone, which are what the pool keeps connections under. So no two routes ever share a connection.
//!
//! ```text
//! pool ─ [TLS to the origin] ─ ProxyLayer ─ [TLS to the proxy] ─ SocketConnector
//! ```
//!
//! TLS stands above for what goes through a tunnel, and below for a proxy that is itself reached by https. Both are layers of the TLS
//! crate, and without the one that is needed a connection is refused.

mod connector;
mod hosts;
mod http_tunnel;
mod rules;
mod server;
mod socks;
mod stream;

pub use self::{
    connector::{ProxyConnector, ProxyLayer},
    hosts::HostSet,
    rules::Proxies,
    server::{Proxy, Route},
    stream::Proxied,
};

#[doc(hidden)]
pub mod fuzzing {
    //! What reads bytes of others, for the fuzzers.

    use super::{hosts::HostSet, http_tunnel, socks};

    /// Reads an answer to `CONNECT`, in two pieces.
    pub fn connect_answer(bytes: &[u8], cut: usize) {
        let mut answer = http_tunnel::Answer::new();
        let (one, other) = bytes.split_at(cut.min(bytes.len()));
        if let Ok(None) = answer.read(one) {
            let _ = answer.read(other);
        }
    }

    /// Plays a SOCKS handshake, of the version that the first byte says, with what the proxy sends.
    pub fn socks(bytes: &[u8]) {
        let Some((&version, mut bytes)) = bytes.split_first() else {
            return;
        };
        let mut handshake = socks::Handshake::for_fuzzing(version);
        let mut received: &[u8] = &[];
        while let Ok(socks::Step::Exchange { need, .. }) = handshake.step(received) {
            if need > bytes.len() {
                break;
            }
            (received, bytes) = bytes.split_at(need);
        }
    }

    /// Reads a list of hosts, and asks it.
    pub fn hosts(text: &str) {
        if let Ok(hosts) = text.parse::<HostSet>() {
            let _ = (hosts.contains(text, 80), hosts.contains("10.0.0.1", 80));
        }
    }
}
