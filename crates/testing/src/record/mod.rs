//! Exchanges with a real peer, kept in a file and played again.
//!
//! [`RecorderLayer`] goes above a client's transport and writes each exchange, as one line of JSON, to a file that is made to be read, and
//! kept beside the test. [`Replayer`] answers from such a file, in place of the transport.
//!
//! # Placement
//!
//! The recorder goes where the replayer will be. What it writes is what passes there: below decompression that is compressed bodies,
//! which neither people nor its redaction can read.
//!
//! # Redaction
//!
//! Recordings end up in repositories. So these become `REDACTED`, unless [`without_redaction`](RecorderBuilder::without_redaction) is
//! said:
//!
//! - the headers `Authorization`, `Proxy-Authorization`, `Cookie` and `Set-Cookie`, those that are marked as sensitive, and those named
//!   by [`redact_header`](RecorderBuilder::redact_header);
//! - the fields `access_token`, `refresh_token`, `id_token`, `client_secret` and `password`, and those named by
//!   [`redact_field`](RecorderBuilder::redact_field), wherever they are: in the query, in forms, and at any depth of bodies whose
//!   `Content-Type` is JSON;
//! - user information in URIs, those of `Location`, `Content-Location` and `Referer` included.
//!
//! JSON that was cut short and names a field is hidden as a whole. Bodies of other types are written as they are. Look at a recording
//! before you publish it.
//!
//! # State
//!
//! The file belongs to the layer: its clones and services write to the same. A replayer's clones share what was played already.
//!
//! # Readiness and cancellation
//!
//! The recorder is ready when its inner service is, and copies bodies as they pass, so that streams stay streams. An exchange is written
//! when both its bodies have ended or were dropped. A response whose body was not read to its end, or broke off, is written as far as it
//! came, and breaks off there when it is played. A call that fails, or is dropped before its response, is not written.
//!
//! The replayer is always ready, and reads the request's body to the end.
//!
//! # Errors
//!
//! A recorder that cannot write says so in [`RecorderLayer::finish`]. A replayer fails a call that was [`Unrecorded`].
//!
//! # Examples
//!
//! Recorded once, played ever after:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_testing::{Answer, MockTransport, Route, record::{RecorderLayer, Replayer}};
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! # let file = std::env::temp_dir().join(format!("bartizan-doc-record-{}.jsonl", std::process::id()));
//! // In place of a real peer.
//! let (transport, mock) = MockTransport::new();
//! mock.on(Route::get("/user")).reply(Answer::new(200, "ann"));
//!
//! let recorder = RecorderLayer::create(&file)?;
//! let request = || Request::get("http://api.example/user").header("authorization", "Bearer s3cret").body(Body::empty());
//! let response = recorder.layer(transport).call(request()?).await?;
//! response.into_body().collect().await?;
//! assert_eq!(recorder.finish()?, 1);
//! assert!(!std::fs::read_to_string(&file)?.contains("s3cret"));
//!
//! let mut replayer = Replayer::open(&file)?;
//! let response = replayer.call(request()?).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "ann");
//! # std::fs::remove_file(&file)?;
//! # Ok(()) }
//! ```
//!
//! A request that was not recorded, and an exchange that was not used:
//!
//! ```
//! use bartizan_core::{Body, BoxError, find};
//! use bartizan_testing::record::{Replayer, Unrecorded};
//! use http::Request;
//! use tower_service::Service;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let recording = r#"{"recording":1}
//! {"request":{"method":"GET","uri":"/user?page=1"},"response":{"status":200,"body":"ann"}}"#;
//! let mut replayer = Replayer::parse(recording)?;
//!
//! let error = replayer.call(Request::get("/user?page=2").body(Body::empty())?).await.unwrap_err();
//! assert!(find::<Unrecorded>(&*error).is_some());
//! assert_eq!(replayer.unused(), ["GET /user?page=1"]);
//! # Ok(()) }
//! ```

mod exchange;
mod recorder;
mod redact;
mod replayer;

pub use self::{
    recorder::{RecordedBody, Recorder, RecorderBuilder, RecorderFuture, RecorderLayer},
    replayer::{ReplayFuture, Replayer, Unrecorded},
};
