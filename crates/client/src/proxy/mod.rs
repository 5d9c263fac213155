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

pub(crate) use self::http_tunnel::Answer as ConnectAnswer;
pub(crate) use self::socks::{Handshake as SocksHandshake, Step as SocksStep};
