//! What the layers promise.

mod allocations;
mod budget;
mod body_timeout;
mod deadline;
mod failover;
mod retry;
mod timeout;
