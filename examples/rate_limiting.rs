//! An axum app that lets each client call so often and no more: `cargo run --example rate_limiting`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{net::IpAddr, time::Duration};

use axum::{Router, extract::Request, routing::get};
use bartizan::{
    client::{RequestExt, Transport},
    core::{BoxError, ConfigError, Rejection},
    listener::{ConnectInfo, Listener},
    resilience::rate_limit::{Quota, RateLimitLayer},
};

// ANCHOR: client
/// Whose quota a request counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Client {
    /// Somebody we know, wherever the request comes from.
    Customer(&'static str),
    /// Somebody else, known by where the request comes from.
    Peer(IpAddr),
}

fn client(request: &Request) -> Option<Client> {
    // A key that is not checked is no key: who invents one for each call would get a quota for each.
    let key = request.headers().get("x-api-key");
    if key.is_some_and(|key| key == "s3cret-of-ada") {
        return Some(Client::Customer("ada"));
    }
    // What does not come through a listener is not limited: tests, and calls from within.
    let connection = request.extensions().get::<ConnectInfo>()?;
    connection.client().ip().map(Client::Peer)
}
// ANCHOR_END: client

// ANCHOR: app
fn app() -> Result<Router, ConfigError> {
    // Six hundred per hour, of which three may come at once.
    let quota = Quota::try_new(600, Duration::from_secs(3600))?.try_burst(3)?;
    let limit = RateLimitLayer::builder(quota)
        .build_per_key(client)?
        // Tells clients where they stand, so that good ones slow down by themselves.
        .headers()
        // Handlers of axum cannot fail, so what is refused has to become a response: 429, with `Retry-After`.
        .reject_with(Rejection::into_response);
    Ok(Router::new()
        .route("/", get(|| async { "hello" }))
        // Above all else, so that what is refused costs nothing.
        .layer(limit))
}
// ANCHOR_END: app

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr());
    let handle = listener.handle();
    let app = app()?;
    let serving = tokio::spawn(async move { listener.serve(app).await });

    let client = Transport::new();
    for key in ["", "", "", "", "", "made-up", "s3cret-of-ada"] {
        let response = client.get(&*url).header("x-api-key", key).send().await?;
        let field = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        println!(
            "key `{key}`: {}, RateLimit: {}, Retry-After: {}",
            response.status(),
            field("ratelimit").unwrap_or("none"),
            field("retry-after").unwrap_or("none"),
        );
    }

    handle.shutdown();
    serving.await?;
    Ok(())
}
