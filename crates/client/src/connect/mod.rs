//! Connections to an origin: what asks for them, and what they are.
//!
//! A connector is any `Service<Destination>` whose response is a [`Connection`]: [`Destination`] says where and how, the connection
//! says what came of it. Connectors stack, each a layer over the next: TLS to the origin, over a route through proxies, over sockets.
//! [`Connector`] is that stack with the usual parts, [`SocketConnector`] its bottom, and [`FromHyper`] a connector made for hyper.
//!
//! # TLS
//!
//! With the feature `tls`, `TlsLayer` makes it. It looks at [`Destination::needs_tls`], calls its inner connector with
//! [`with_tls_above`](Destination::with_tls_above), and makes the handshake on what that returns. So the same layer stands in the usual
//! stack twice: above the proxies for the origin, and below them for a proxy that is itself reached by https. Whatever reaches the bottom
//! and still needs TLS is refused.

use bartizan_core::{BoxError, Rejection};

use crate::{Error, error::Kind};

mod connected;
mod connecting;
mod connector;
mod destination;
mod from_hyper;
mod happy_eyeballs;
mod options;
mod socket;
mod socket_options;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use self::socket::limited;
#[cfg(feature = "proxy")]
pub(crate) use self::socket::{Unresolved, literal, resolve};
#[cfg(feature = "tls")]
pub use self::tls::{TlsLayer, TlsService};
pub use self::{
    connected::{Alpn, Connected, Connection},
    connecting::Connecting,
    connector::{Connector, ConnectorBuilder, Stream},
    destination::Destination,
    from_hyper::{FromHyper, HyperStream},
    happy_eyeballs::{Attempts, HappyEyeballs},
    options::ConnectOptions,
    socket::{Socket, SocketConnector},
    socket_options::SocketOptions,
};

/// The error of a connector that need not be ours.
pub(crate) fn error_of(error: BoxError, destination: &Destination) -> Error {
    if error.is::<Error>() || error.is::<Rejection>() {
        return Error::of_service(error, Kind::Connect);
    }
    Error::new(
        Kind::Connect,
        format!("connection failed: tried {destination}"),
    )
    .with_source(error)
}
