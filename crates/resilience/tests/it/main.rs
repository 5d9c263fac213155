//! What the layers promise.

mod allocations;
mod balance;
mod balance_http;
mod balance_sim;
mod failover;
mod timeout;
