//! Stacks across crates, over real sockets.

mod circuit_breaker;
mod composition;
mod failover;
mod proxy;
mod retry;
mod stack;
mod time;
mod tls;
