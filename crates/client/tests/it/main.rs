//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
mod bodies;
#[cfg(feature = "compression")]
mod compression;
mod connect;
mod dns;
mod errors;
mod failures;
#[cfg(feature = "logging")]
mod logging;
mod requests;
mod responses;
mod transport;
