//! A pool's figures.

use super::core::Census;

/// What a pool has, and what it has done: a snapshot, taken under one lock, so that the figures fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Origins that it knows: those with connections or waiters, and those used within the idle timeout.
    pub origins: usize,
    /// Connections being made.
    pub connecting: usize,
    /// Connections that carry no request.
    pub idle: usize,
    /// Connections that carry requests, or were upgraded.
    pub in_use: usize,
    /// Connections that are closed, as soon as their sockets are gone.
    pub closing: usize,
    /// Requests that have a connection: until the end of the response, and over HTTP/1.1 that of the request too.
    pub in_flight: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// How many connections were ever begun.
    pub dialed: u64,
    /// How often a request got a connection that had carried others.
    pub reused: u64,
    /// How often a request had to wait.
    pub waited: u64,
    /// How often a request was refused, as too many waited.
    pub refused: u64,
}

impl PoolStats {
    /// Connections in every state, which is what the limits count.
    pub const fn connections(&self) -> usize {
        self.connecting + self.idle + self.in_use + self.closing
    }

    pub(super) const fn of(census: &Census) -> Self {
        Self {
            origins: census.origins,
            connecting: census.dialing,
            idle: census.idle,
            in_use: census.in_use,
            closing: census.closing,
            in_flight: census.leases,
            waiting: census.waiting,
            dialed: census.counts.dialed,
            reused: census.counts.reused,
            waited: census.counts.waited,
            refused: census.counts.refused,
        }
    }
}
