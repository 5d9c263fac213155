//! TLS for a listener.

mod handle;
mod resolver;
mod service;
mod settings;

pub use self::{
    handle::AcceptorHandle,
    service::{AcceptFuture, TlsAcceptor},
    settings::{ClientAuth, ListenerTls},
};
