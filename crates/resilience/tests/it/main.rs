//! What the layers promise.

mod adaptive_limit;
mod allocations;
mod balance;
mod balance_http;
mod balance_sim;
mod body_timeout;
mod budget;
mod bulkhead;
mod chaos;
mod circuit_breaker;
mod coalesce;
mod deadline;
mod fail_back;
mod failover;
mod failover_http;
mod fallback;
mod health;
mod hedge;
mod limits;
mod outlier;
mod rate_limit;
#[cfg(all(feature = "redis", unix))]
mod rate_limit_redis;
mod retry;
mod shed;
mod throttle;
mod timeout;
