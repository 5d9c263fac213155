//! What the layers promise.

mod allocations;
mod body_timeout;
mod deadline;
mod failover;
mod timeout;
