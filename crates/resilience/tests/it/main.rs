//! What the layers promise.

mod adaptive_limit;
mod allocations;
mod body_timeout;
mod budget;
mod deadline;
mod fail_back;
mod failover;
mod health;
mod outlier;
mod shed;
mod throttle;
mod bulkhead;
mod failover;
mod limits;
mod rate_limit;
mod chaos;
mod coalesce;
mod failover;
mod fallback;
mod hedge;
mod retry;
mod timeout;
