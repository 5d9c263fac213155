//! TLS for both ends, on rustls.

pub mod accept;
mod chain;
pub mod connect;
pub mod dangerous;
mod error;
mod identity;
mod info;
mod options;
mod provider;
mod reload;
pub mod revocation;
mod settle;
mod stream;
mod trust;
mod verify;
mod x509;

pub use self::{
    accept::{AcceptFuture, AcceptorHandle, ClientAuth, ListenerTls, TlsAcceptor},
    chain::{Chain, Link},
    connect::{ClientTls, ConnectFuture, ConnectorHandle, Target, TlsConnector, TlsConnectorLayer},
    error::{Error, Stage},
    identity::Identity,
    info::{TlsInfo, Verification},
    options::TlsVersion,
    provider::Provider,
    stream::{MaybeTls, TlsStream},
    trust::TrustAnchors,
    x509::PeerName,
};
