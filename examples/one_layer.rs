//! One layer, added to an axum app that was there before: `cargo run --example one_layer`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt},
    core::{BoxError, Rejection},
    resilience::timeout::TimeoutLayer,
};

// ANCHOR: app
fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/stuck", get(std::future::pending::<()>))
        // The one line that is new. Handlers of axum cannot fail, so a handler that takes too long has to become a response.
        .layer(TimeoutLayer::new(Duration::from_millis(200)).reject_with(Rejection::into_response))
}
// ANCHOR_END: app

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // A router is a service, and any service can be called: no socket is needed to see what the layer does.
    let app = app();
    for path in ["/", "/stuck"] {
        let response = app.get(path).send().await?;
        println!("GET {path}: {}", response.status());
        println!("{}", response.text().await?);
    }
    Ok(())
}
