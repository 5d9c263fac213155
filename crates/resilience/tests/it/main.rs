//! What the layers promise.

mod allocations;
mod body_timeout;
mod budget;
mod deadline;
mod failover;
mod retry;
mod timeout;
