//! Server-sent events: a response that goes on (HTML standard, section 9.2).
//!
//! [`Sse`] makes a response of a stream of [`Event`]s. [`LastEventId`] is where a client wants to go on after its connection broke.
//!
//! # The connection
//!
//! Where the stream has nothing for 15 s, a comment is sent: proxies close what is silent, and a client that has gone is found out by a
//! write. The response says `Cache-Control: no-store`, and `X-Accel-Buffering: no`, by which nginx passes events on as they come.
//! Compression makes events wait in the encoder: leave it out.
//!
//! # Placement
//!
//! It is a response body: any service returns it, and any axum handler. Timeouts for whole bodies cut it.
//!
//! # State, readiness and cancellation
//!
//! The body owns the stream and drops it when the client goes away, which over HTTP/1.1 shows at the next write, and so at the next
//! comment. A drain of the [listener](crate) waits for the stream to end, so end it with the signal that begins the drain, as with
//! `take_until` of futures-util; [`ShutdownHandle::wait`](crate::ShutdownHandle::wait) is over only when the drain is. Clients then
//! connect again, elsewhere, with their last id.
//!
//! # Errors
//!
//! An error of the stream breaks the response off, and the client tries again after its `retry` time. A response that has ended
//! is asked for again as well: an endpoint that has no more to say answers 204.
//!
//! # Differences from `axum::response::sse`
//!
//! It needs no axum, and the same response serves both. Line breaks in data are written as several lines, where axum does so too, also
//! lone carriage returns; an id or a name that cannot be sent is an error, and not a panic. There is no JSON: `serde_json::to_string`
//! makes the data.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_listener::sse::{Event, Sse};
//! use http_body_util::BodyExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let events = [Event::data("first\nand second line").try_id("1")?, Event::comment("that is all")];
//! let response = Sse::new(futures_util::stream::iter(events.map(Ok::<_, BoxError>))).into_response();
//! assert_eq!(response.headers()["content-type"], "text/event-stream");
//! assert_eq!(
//!     response.into_body().collect().await?.to_bytes(),
//!     "id: 1\ndata: first\ndata: and second line\n\n: that is all\n\n"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! An axum handler that goes on where the client was:
//!
//! ```
//! use axum::{Router, http::HeaderMap, response::IntoResponse, routing::get};
//! use bartizan_core::BoxError;
//! use bartizan_listener::sse::{Event, LastEventId, Sse};
//! use futures_util::stream;
//! use tower::ServiceExt;
//!
//! async fn count(headers: HeaderMap) -> impl IntoResponse {
//!     let seen = LastEventId::of(&headers).and_then(|id| id.as_str().parse::<u64>().ok());
//!     let next = seen.map_or(0, |seen| seen + 1);
//!     let events = (next..3).map(|n| Event::data(format!("number {n}")).try_id(&n.to_string()).map_err(BoxError::from));
//!     Sse::new(stream::iter(events.collect::<Vec<_>>())).into_response()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new().route("/", get(count));
//! let request = http::Request::get("/").header("last-event-id", "1").body(axum::body::Body::empty())?;
//! let body = axum::body::to_bytes(router.oneshot(request).await?.into_body(), 1000).await?;
//! assert_eq!(body, "id: 2\ndata: number 2\n\n");
//! # Ok(())
//! # }
//! ```

mod body;
mod event;

pub use self::{
    body::{Sse, SseBody},
    event::{Event, LastEventId},
};
