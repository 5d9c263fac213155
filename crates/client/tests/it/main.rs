//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
mod bodies;
#[cfg(feature = "compression")]
mod compression;
mod connect;
#[cfg(feature = "cookies")]
mod cookie_file;
#[cfg(feature = "cookies")]
mod cookie_jar;
#[cfg(feature = "cookies")]
mod cookie_vectors;
#[cfg(all(feature = "cookies", feature = "redirect"))]
mod cookies;
mod dns;
mod errors;
mod failures;
#[cfg(feature = "logging")]
mod logging;
mod defaults;
mod errors;
mod failures;
mod forwarded;
#[cfg(feature = "redirect")]
mod redirect;
#[cfg(feature = "redirect")]
mod redirect_matrix;
mod requests;
mod responses;
mod transport;
