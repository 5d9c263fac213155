//! The vocabulary that Bartizan's crates share, and nothing else.
//!
//! A type lives here only if it stands in a *public* signature of two crates or more, does no I/O, and names no runtime,
//! transport or TLS type. What each of them is for:
//!
//! - [`Body`] is what a stack carries at its seams: empty, whole (so that it can be sent again), or a stream.
//! - [`Classify`] turns a finished call into one [`Outcome`], at the head of the response or at the end of its body. Breakers,
//!   retries and metrics read the same outcome. [`HttpClassify`] is the one for HTTP.
//! - [`Completion`] reports that outcome exactly once: at the end of the body, on an error, or when the call is dropped.
//! - [`Rejection`] is what a layer says when it refuses a call; [`Reject`] decides whether that becomes an error or a response.
//! - [`problem`] is a response that says what is wrong.
//! - [`Replay`] copies a request, if it can be sent again; [`Attempt`] numbers what is sent.
//! - [`BaseUrl`] is a checked `http://host:port/prefix`; [`StatusSet`] a checked set of status codes; [`ConfigError`] says what
//!   was wrong with the unchecked ones.
//! - [`Clock`] is wall time that a test can set. Monotonic time is `tokio::time::Instant`, everywhere.
//! - [`find`] looks for an error of a type anywhere in a chain of sources.

mod attempt;
mod base_url;
mod body;
mod classify;
mod clock;
mod completion;
mod config;
mod error;
mod http_classify;
mod problem;
mod rejection;
mod replay;
mod status_set;

pub use self::{
    attempt::Attempt,
    base_url::BaseUrl,
    body::Body,
    classify::{Classify, ClassifyEnd, End, IntactBody, Outcome, Verdict},
    clock::{Clock, SystemClock},
    completion::{Completion, CompletionBody, OnComplete},
    config::ConfigError,
    error::{BoxError, find},
    http_classify::HttpClassify,
    problem::problem,
    rejection::{BoxErrors, Propagate, Reject, Rejection, RejectionKind, RespondWith},
    replay::Replay,
    status_set::StatusSet,
};
