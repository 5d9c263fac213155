//! Connectors over real sockets.

mod from_hyper;
#[cfg(feature = "proxy")]
mod proxies;
#[cfg(feature = "proxy")]
mod real_proxies;
mod sockets;

use bartizan_client::connect::Destination;

/// The destination of `http://{authority}/`.
fn http(authority: impl std::fmt::Display) -> Destination {
    let uri = format!("http://{authority}/").parse().expect("a URI");
    Destination::of(&uri).expect("a destination")
}
