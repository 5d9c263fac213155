//! TLS for a client.

mod handle;
mod service;
mod settings;
mod target;

pub use self::{
    handle::ConnectorHandle,
    service::{ConnectFuture, TlsConnector, TlsConnectorLayer},
    settings::ClientTls,
    target::Target,
};
