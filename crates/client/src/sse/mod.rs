//! Server-sent events: [`text/event-stream`](https://html.spec.whatwg.org/multipage/server-sent-events.html) of the WHATWG.
//!
//! [`ResponseExt::events`](crate::ResponseExt::events) reads the events of one response. [`EventSource`] is the client that the standard
//! describes: it connects again, and says which event it had last. Both work over any service, and bound what they keep.
//!
//! # Differences from the standard
//!
//! - Ids go on over connections, as they do in browsers: the standard has the first event of each begin without one.
//! - A line and an event have a greatest size, 1 MiB by default: the standard leaves memory to the browser.
//! - The wait before connecting again is longer after each failure in a row, and has jitter. The standard allows both.
//! - An id that no header can carry, because of a control character, is not sent.
//!
//! # Differences from Ktor and Ballerina
//!
//! - Ballerina joins the lines of `data` without a line end, and does not connect again.
//! - Ktor's `showCommentEvents` is [`EventStream::with_comments`], its `maxReconnectionAttempts` is
//!   [`EventSource::max_attempts`], and its `reconnectionTime`, 3 s, has the same default.
//!
//! # Examples
//!
//! ```
//! use bartizan_client::{RequestExt, ResponseExt, Transport};
//! use bartizan_core::Body;
//! use bartizan_testing::Loopback;
//! use futures_util::TryStreamExt;
//! use http::{Request, Response};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Loopback::start(|_: Request<Body>| async {
//!     let response = Response::builder().header("content-type", "text/event-stream");
//!     response.body(Body::from("data: one\ndata: line more\n\nevent: end\ndata\n\n")).unwrap()
//! }).await;
//!
//! let events = Transport::new().get(server.uri("/")).send().await?.error_for_status()?.events()?;
//! let events: Vec<_> = events.try_collect().await?;
//! assert_eq!((events[0].name(), events[0].data()), ("message", "one\nline more"));
//! assert_eq!((events[1].name(), events[1].data()), ("end", ""));
//! # Ok(())
//! # }
//! ```
//!
//! A client that connects again, and goes on where it was:
//!
//! ```
//! use bartizan_client::{RequestExt, Transport};
//! use bartizan_core::Body;
//! use bartizan_testing::Loopback;
//! use futures_util::{StreamExt, TryStreamExt};
//! use http::{Request, Response, StatusCode};
//! use std::pin::pin;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Loopback::start(|request: Request<Body>| async move {
//!     // What ends each response here ends the connection elsewhere.
//!     let response = Response::builder().header("content-type", "text/event-stream");
//!     match request.headers().get("last-event-id").map(|id| id.as_bytes()) {
//!         None => response.body(Body::from("retry: 10\nid: 1\ndata: one\n\n")),
//!         Some(b"1") => response.body(Body::from("id: 2\ndata: two\n\n")),
//!         Some(_) => response.status(StatusCode::NO_CONTENT).body(Body::empty()),
//!     }.unwrap()
//! }).await;
//!
//! let mut events = pin!(Transport::new().get(server.uri("/")).event_source()?);
//! assert_eq!(events.try_next().await?.unwrap().data(), "one");
//! assert_eq!(events.try_next().await?.unwrap().data(), "two");
//! // 204 is how a server says that there is no more.
//! assert!(events.try_next().await?.is_none());
//! # Ok(())
//! # }
//! ```

mod backoff;
mod event;
pub(crate) mod parser;
mod source;
mod stream;

pub use self::{event::Event, source::EventSource, stream::EventStream};

/// The greatest size of a line and of an event, in bytes, unless another is set: 1 MiB, as events are messages and not files.
pub(crate) const MAX_EVENT: usize = 1024 * 1024;
