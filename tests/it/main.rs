//! Stacks across crates, over real sockets.

mod composition;
mod failover;
mod proxy;
mod retry;
mod time;
