//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
#[cfg(feature = "cookies")]
mod cookie_file;
#[cfg(feature = "cookies")]
mod cookie_jar;
#[cfg(feature = "cookies")]
mod cookie_vectors;
#[cfg(all(feature = "cookies", feature = "redirect"))]
mod cookies;
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
