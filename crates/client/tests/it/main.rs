//! The client over real loopback sockets, and its verbs and layers over scripted services.

mod base_url;
mod bodies;
mod client;
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
mod decoding;
mod defaults;
mod dns;
mod errors;
mod failures;
mod faults;
#[cfg(feature = "fs")]
mod files;
mod forwarded;
#[cfg(feature = "logging")]
mod logging;
#[cfg(feature = "multipart")]
mod multipart;
#[cfg(all(
    unix,
    feature = "fs",
    feature = "compression",
    feature = "cookies",
    feature = "redirect",
    feature = "tls"
))]
mod nginx;
mod pool;
mod proofs;
#[cfg(feature = "redirect")]
mod redirect;
mod request_bodies;
mod requests;
mod responses;
#[cfg(feature = "sse")]
mod sse;
#[cfg(feature = "tls")]
mod tls;
mod transport;

/// A new and empty directory for the test of that name.
#[cfg(feature = "fs")]
fn temporary(test: &str) -> std::path::PathBuf {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // What an earlier run has left.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}
