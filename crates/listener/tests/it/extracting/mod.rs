//! Data binding: in axum and in plain services, over sockets and without.

mod axum;
mod hostile;
mod multipart;
mod plain;

use bartizan_core::{Body, BoxError};
use bartizan_listener::extract::{ExtractError, FromBody};
use http::{Request, header};

/// What a `T` makes of a body of that type.
async fn read<T: FromBody>(content_type: &str, body: impl Into<Body>) -> Result<T, ExtractError> {
    let request = Request::post("/").header(header::CONTENT_TYPE, content_type);
    let (head, body) = request.body(body.into()).expect("a request").into_parts();
    T::from_body(&head, body).await
}

/// A body of unknown length, in these pieces.
fn pieces<P>(pieces: P) -> Body
where
    P: IntoIterator<IntoIter: Send + 'static, Item = Result<&'static str, BoxError>>,
{
    Body::from_stream(futures_util::stream::iter(pieces))
}
