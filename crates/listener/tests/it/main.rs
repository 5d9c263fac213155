//! The listener over real sockets.

mod binding;
mod cutting;
mod draining;
mod load;
mod requests;
mod serving;
mod support;
