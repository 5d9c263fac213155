//! The listener over real sockets.

#[cfg(target_os = "linux")]
mod abuse;
mod accepting;
mod binding;
mod configuring;
mod conformance;
mod contenders;
mod cutting;
mod delaying;
mod draining;
mod handshaking;
// `--all-features` has them all.
#[cfg(all(
    feature = "axum",
    feature = "charset",
    feature = "form",
    feature = "garde",
    feature = "headers",
    feature = "json",
    feature = "multipart",
    feature = "xml"
))]
mod extracting;
mod floods;
mod limits;
mod load;
mod observing;
#[cfg(target_os = "linux")]
mod out_of_files;
mod patience;
mod protocol;
mod readme;
mod requests;
mod serving;
#[cfg(unix)]
mod sockets;
mod support;
mod tunnels;
mod wire;
