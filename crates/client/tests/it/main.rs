//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
mod connect;
mod dns;
mod errors;
mod failures;
mod requests;
mod responses;
mod transport;
