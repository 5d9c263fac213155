//! Connections to an origin: what asks for them, and what they are.
//!
//! A connector is any `Service<Destination>` whose response is a [`Connection`]: [`Destination`] says where and how, the connection
//! says what came of it. Connectors stack: a proxy route over TLS over TCP, each of them a layer over the next.

mod connected;
mod connecting;
mod destination;
mod happy_eyeballs;
mod socket;
mod socket_options;

pub use self::{
    connected::{Alpn, Connected, Connection},
    connecting::Connecting,
    destination::{ConnectOptions, Destination},
    happy_eyeballs::{Attempts, HappyEyeballs},
    socket::{Socket, SocketConnector},
    socket_options::SocketOptions,
};
