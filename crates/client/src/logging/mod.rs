//! Calls as events of `tracing`, without what is secret.
//!
//! One event per call, when it is over: at the end of the response body, on an error, or when the caller drops it. With
//! [`Detail::Headers`] or [`Detail::Body`] there is another when it begins.
//!
//! # Placement
//!
//! Above redirects and retries for one event per call; below them for one per attempt. Above decompression, bodies can be read.
//!
//! # State
//!
//! None between calls.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. A call that is dropped is logged as such, with how far it got.
//!
//! # Errors
//!
//! None of its own.
//!
//! # What is left out
//!
//! The values of `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie`, of headers that are marked as sensitive, and of those
//! named by [`redact`](LoggingLayer::redact); the query and the user information of the URI. Bodies are logged only where they are text,
//! and only their beginning.
//!
//! # Differences from tower-http
//!
//! Its `TraceLayer` is for servers and opens spans. This one is for calls: it knows when a body is over and how many bytes it had, and
//! what must not be in a log.

mod body;
mod events;
mod layer;
mod service;
mod settings;

pub use self::{
    body::LoggedBody,
    layer::LoggingLayer,
    service::{LoggingFuture, LoggingService},
    settings::Detail,
};
