//! Bodies of several parts: forms with files (`multipart/form-data`, RFC 7578), and other kinds of [RFC 2046 section
//! 5.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1).
//!
//! A body whose parts are all whole is whole itself: it can be sent again, by a retry or a redirect. It is one copy of its parts in
//! memory. With a part that is streamed, the body is streamed too, part by part, and can be sent once. Its length is known, and sent,
//! when that of each part is.
//!
//! Names of fields and files are written in UTF-8, with `"`, CR and LF as `%22`, `%0D` and `%0A`: what browsers do, by the
//! [WHATWG](https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data), and what servers expect.
//! `filename*` of RFC 8187 is not for forms (RFC 7578 section 4.2).
//!
//! # Differences from reqwest
//!
//! - Parts nest: [`Part::nested`].
//! - A form whose parts are whole can be sent again.
//! - The boundary cannot be told from others that were seen: it has 128 bits of a keyed hash, whose key is the system's.
//!
//! # Examples
//!
//! ```
//! use bartizan_client::{RequestExt, ResponseExt, Transport, multipart::{Multipart, Part}};
//! use bartizan_core::Body;
//! use bartizan_testing::Loopback;
//! use http::{Request, Response};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Loopback::start(|request: Request<Body>| async { Response::new(request.into_body()) }).await;
//! let form = Multipart::form()
//!     .text("title", "Cellar")
//!     .field("photo", Part::bytes("JPEG…").file_name("cellar.jpg").content_type("image/jpeg"));
//! let response = Transport::new().post(server.uri("/photos")).multipart(form).send().await?;
//! # let sent = response.text().await?;
//! # assert!(sent.contains("content-disposition: form-data; name=\"photo\"; filename=\"cellar.jpg\"\r\n"));
//! # assert!(sent.contains("\r\n\r\nJPEG…\r\n--"));
//! # Ok(())
//! # }
//! ```
//!
//! A part that is streamed, and one that has parts itself:
//!
//! ```
//! use bartizan_client::{RequestBuilder, multipart::{Multipart, Part}};
//! use bartizan_core::{Body, BoxError};
//! use http::Method;
//!
//! let rows = futures_util::stream::iter(["a,b\n", "c,d\n"].map(Ok::<_, BoxError>));
//! let report = Multipart::mixed()
//!     .part(Part::text("two rows"))
//!     .part(Part::stream_of(8, rows).content_type("text/csv"));
//! let request = RequestBuilder::new((), Method::POST, "/reports")
//!     .multipart(Multipart::form().field("report", Part::nested(report)))
//!     .build()?;
//!
//! // Every length is known, so that of the whole is.
//! assert!(http_body::Body::size_hint(request.body()).exact().is_some());
//! # Ok::<(), bartizan_client::Error>(())
//! ```

mod body;
mod boundary;
mod form;
mod part;

pub use self::{form::Multipart, part::Part};
