//! A stack that is ready made: what a person expects of an HTTP client.
//!
//! A function, and short enough to read: who wants another copies it.

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    CallTimeoutLayer, Client, CookieLayer, DefaultsLayer, Jar, RedirectLayer, ResponseLimitsLayer,
    compression::DecompressionLayer,
};

/// Everything over a transport: 30 s for a call, a user agent, redirects, cookies in `jar`, decompression, and limits on what comes back.
///
/// No retries, which are for a caller to want: `bartizan-resilience` has them, and they stand below the redirects.
///
/// ```
/// use bartizan_client::{Client, Jar, RequestExt, ResponseExt, Transport, stack};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|request: Request<Body>| async move {
///     let response = Response::builder();
///     match request.uri().path() {
///         "/" => response.status(302).header("location", "/home").header("set-cookie", "id=7").body(Body::empty()),
///         _ => response.body(format!("{:?}", request.headers()["cookie"]).into()),
///     }
///     .unwrap()
/// })
/// .await;
///
/// let client: Client = stack::full(Transport::new(), Jar::new());
/// let response = client.get(server.uri("/")).send().await?;
/// assert_eq!(response.text().await?, r#""id=7""#);
/// # Ok(())
/// # }
/// ```
///
/// Over another service, here one that is scripted, and with one request's options in place of those of the stack:
///
/// ```
/// use bartizan_client::{Jar, RequestExt, redirect::Redirects, stack};
/// use bartizan_testing::{Answer, MockTransport, Route};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (transport, mock) = MockTransport::new();
/// mock.on(Route::get("/old")).reply(Answer::status(301).header("location", "/new"));
///
/// let client = stack::full(transport, Jar::new());
/// let request = client.get("http://h/old").timeout(Duration::from_secs(300)).extension(Redirects::none());
/// assert_eq!(request.send().await?.status(), 301);
/// # Ok(())
/// # }
/// ```
pub fn full<S, RB>(transport: S, jar: Jar) -> Client
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    // Right above the wire: it counts what comes over that.
    let limited = ResponseLimitsLayer::default().layer(transport);
    // Above the limits, whose bytes are those of the wire; below everything that may read a body.
    let decompressed = DecompressionLayer::new().layer(limited);
    // Below the redirects: each hop has cookies of its own, and may set some.
    let with_cookies = CookieLayer::new(jar).layer(decompressed);
    let redirected = RedirectLayer::new().layer(with_cookies);
    // Once for all hops, which take the headers along.
    let with_defaults = DefaultsLayer::new().layer(redirected);
    // Around all of it: the time is the caller's.
    Client::from_service(CallTimeoutLayer::default().layer(with_defaults))
}
