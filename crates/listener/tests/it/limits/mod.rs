//! What a peer may ask of the listener, and what it is told where that is too much.

mod lifetime;
mod rates;
mod sizes;
mod timeouts;

use std::time::Duration;

use bartizan_core::{Body, BoxError};
use bartizan_listener::{HttpSettings, HttpSettingsBuilder, Listener};
use http::{Request, Response};
use http_body_util::BodyExt;

use crate::support::{Server, bind, raw, rest};

/// Short enough for a test, and long enough for a machine under load to be faster.
pub(crate) const SHORT: Duration = Duration::from_millis(100);

pub(crate) async fn with(settings: HttpSettingsBuilder) -> Listener {
    bind().await.http(settings.build().expect("valid settings"))
}

pub(crate) fn settings() -> HttpSettingsBuilder {
    HttpSettings::builder()
}

/// Reads the whole body, and passes its error on.
async fn read(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let length = request.into_body().collect().await?.to_bytes().len();
    Ok(Response::new(Body::from(length.to_string())))
}

pub(crate) async fn answer(server: &Server, request: &[u8]) -> String {
    let mut client = raw(server.addr, request).await;
    String::from_utf8(rest(&mut client).await).expect("UTF-8")
}
