//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
#[cfg(feature = "cookies")]
mod cookie_vectors;
#[cfg(all(feature = "cookies", feature = "redirect"))]
mod cookies;
mod errors;
mod failures;
#[cfg(feature = "redirect")]
mod redirect;
mod requests;
mod responses;
mod transport;
