//! What the layers promise.

mod adaptive_limit;
mod allocations;
mod bulkhead;
mod failover;
mod limits;
mod rate_limit;
mod timeout;
