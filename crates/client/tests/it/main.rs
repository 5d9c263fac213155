//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
mod errors;
mod failures;
mod pool;
mod requests;
mod responses;
mod transport;
