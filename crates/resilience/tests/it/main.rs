//! What the layers promise.

mod allocations;
mod budget;
mod failover;
mod retry;
mod timeout;
