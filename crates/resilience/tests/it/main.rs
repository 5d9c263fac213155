//! What the layers promise.

mod adaptive_limit;
mod allocations;
mod balance;
#[cfg(feature = "http")]
mod balance_http;
mod balance_sim;
#[cfg(feature = "http")]
mod body_timeout;
mod budget;
mod bulkhead;
mod chaos;
mod circuit_breaker;
mod coalesce;
#[cfg(feature = "http")]
mod deadline;
#[cfg(feature = "http")]
mod fail_back;
mod failover;
#[cfg(feature = "http")]
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
