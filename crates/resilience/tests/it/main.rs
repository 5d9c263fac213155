//! What the layers promise.

mod allocations;
mod failover;
mod health;
mod outlier;
mod timeout;
