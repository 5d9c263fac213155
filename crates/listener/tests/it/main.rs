//! The listener over real sockets.

mod accepting;
mod binding;
mod configuring;
mod cutting;
mod draining;
mod handshaking;
mod load;
mod observing;
#[cfg(target_os = "linux")]
mod out_of_files;
mod requests;
mod serving;
#[cfg(unix)]
mod sockets;
mod support;
