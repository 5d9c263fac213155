//! The request layers, without sockets: in plain tower and in axum.

mod caching;
mod cors;
mod forwarded;
mod host;
mod interceptors;
mod laws;
mod negotiation;
mod others;
mod panics;
mod sse;

use std::convert::Infallible;

use bartizan_core::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::Service;

/// A request with these fields and no content.
pub(crate) fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for &(name, value) in fields {
        request = request.header(name, value);
    }
    request.body(Body::empty()).expect("a valid request")
}

/// The same as axum takes it.
pub(crate) fn axum(request: Request<Body>) -> Request<axum::body::Body> {
    request.map(axum::body::Body::new)
}

/// Answers with the target, as it arrived.
pub(crate) fn echo()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send {
    tower::service_fn(|request: Request<Body>| async move {
        Ok(Response::new(Body::from(request.uri().to_string())))
    })
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let whole = response.into_body().collect().await.expect("a whole body");
    String::from_utf8(whole.to_bytes().into()).expect("text")
}
