//! What Bartizan's own tests are made of: scripted peers on both sides of a layer, and the laws that every layer obeys.
//!
//! A dev-dependency of the workspace's crates, never published. Everything here fails the test that uses it wrongly, or whose
//! layer misbehaves, at once and by a panic that says what happened: a helper that only counts leaves it to each test to look.
//!
//! - [`Probe`] is the service below the layer: scripted, counted, and strict about tower's contract.
//! - [`ControlledBody`] is a body whose every frame the test sends.
//! - [`Loopback`] is an HTTP server on a real socket, [`RawServer`] one that need not speak HTTP, and [`refused_addr`] an address
//!   where there is none.
//! - [`MockTransport`] answers a client's requests by a script, and [`FaultLayer`] does to calls what networks do.
//! - [`FaultProxy`] stands between a client and a server, and breaks connections as its script says.
//! - [`http2`] is a server that says, frame by frame, what no sound server would.
//! - [`ManualClock`] is wall time that the test sets.
//! - [`laws`] are what every layer has to keep, and [`contract!`] writes one test for each of them.
//! - `record`, with the feature of that name, keeps exchanges with a real peer in a file, and plays them again.
//! - [`skipped`] says that this machine cannot run a test.
//! - `allocations`, with the feature of that name, counts what a closure allocates.

#[cfg(feature = "allocations")]
mod allocations;
mod body;
mod clock;
mod contract;
mod error;
mod fault;
mod host;
pub mod http2;
pub mod laws;
mod mock;
mod panics;
mod probe;
mod proxy;
#[cfg(feature = "record")]
pub mod record;
mod server;
mod skipped;
mod socket;
mod step;
mod wakers;

#[cfg(feature = "allocations")]
pub use self::allocations::allocations;
pub use self::{
    body::{BodyCounts, BodyHandle, ControlledBody},
    clock::ManualClock,
    error::ProbeError,
    fault::{Fault, FaultBody, FaultFuture, FaultLayer, Faults},
    mock::{Answer, MockFuture, MockHandle, MockTransport, Route, Unmatched, When},
    probe::{Probe, ProbeCounts, ProbeFuture, ProbeHandle},
    proxy::{FaultProxy, Flow, ProxyCounts, Wire},
    server::{Loopback, RawServer, refused_addr},
    skipped::skipped,
    step::Step,
};
