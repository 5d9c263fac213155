//! What the layers promise.

mod allocations;
mod body_timeout;
mod deadline;
mod fail_back;
mod failover;
mod health;
mod outlier;
mod shed;
mod throttle;
mod timeout;
