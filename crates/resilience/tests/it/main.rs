//! What the layers promise.

mod allocations;
mod chaos;
mod coalesce;
mod failover;
mod fallback;
mod hedge;
mod timeout;
