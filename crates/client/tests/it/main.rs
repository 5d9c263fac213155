//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
mod errors;
mod failures;
#[cfg(feature = "redirect")]
mod redirect;
mod requests;
mod responses;
mod transport;
