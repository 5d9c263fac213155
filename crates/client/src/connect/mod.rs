//! Connections to an origin: what asks for them, and what they are.
//!
//! A connector is any `Service<Destination>` whose response is a [`Connection`]: [`Destination`] says where and how, the connection
//! says what came of it. Connectors stack: a proxy route over TLS over TCP, each of them a layer over the next.

mod connected;
mod destination;

pub use self::{
    connected::{Alpn, Connected, Connection},
    destination::{ConnectOptions, Destination},
};
