//! Bartizan: what a service needs at its HTTP edges, as [tower](https://docs.rs/tower) layers and services.
//!
//! This crate holds no code. It re-exports the others, one per feature, for those who would rather name one dependency:
//!
//! | feature | module | what is in it |
//! |---|---|---|
//! | always | [`core`] | bodies, outcomes, rejections, the clock |
//! | `client` | `client` | connections in a pool, and a fluent way to call any service |
//! | `client-full` | | redirects, cookies, compression, proxies, multipart, server-sent events, … in `client` |
//! | `json` | | JSON bodies in `client` |
//! | `listener` | `listener` | serving any service or axum router: limits, accept layers, request layers, draining |
//! | `listener-full` | | data binding, compression and configuration files in `listener` |
//! | `resilience` | `resilience` | retries, breakers, balancing, limits, timeouts and the rest |
//! | `tls` | `tls` | TLS for both ends on rustls: identities, trust, revocation, reload |
//! | `acme` | | certificates from a CA by themselves, in `tls`; not in `full` |
//! | `full` | | all of them |
//!
//! Every one of them is a crate of its own (`bartizan-client`, …), and depending on just that one costs just that one.

pub use bartizan_core as core;

#[cfg(feature = "client")]
pub use bartizan_client as client;
#[cfg(feature = "listener")]
pub use bartizan_listener as listener;
#[cfg(feature = "resilience")]
pub use bartizan_resilience as resilience;
#[cfg(feature = "tls")]
pub use bartizan_tls as tls;
