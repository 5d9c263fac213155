//! The listener over real sockets.

mod binding;
mod cutting;
mod draining;
mod floods;
mod limits;
mod load;
mod serving;
mod smuggling;
mod support;
mod tunnels;
mod wire;
