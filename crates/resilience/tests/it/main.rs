//! What the layers promise.

mod allocations;
mod failover;
mod timeout;
