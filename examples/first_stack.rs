//! A first stack: a client made of three layers, and the service that it calls. `cargo run --example first_stack`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{Json, Router, extract::Path, http::StatusCode, routing::get};
use bartizan::{
    client::{BaseUrlLayer, RequestExt, ResponseExt, Transport},
    core::BoxError,
    listener::Listener,
    resilience::timeout::TimeoutLayer,
};
use serde::{Deserialize, Serialize};
use tower::ServiceBuilder;

// ANCHOR: types
#[derive(Debug, Deserialize, Serialize)]
struct User {
    id: u32,
    name: String,
}
// ANCHOR_END: types

// ANCHOR: listener
/// The service to call: an axum router, like any other.
fn users() -> Router {
    async fn user(Path(id): Path<u32>) -> Result<Json<User>, StatusCode> {
        match id {
            1 => Ok(Json(User {
                id,
                name: "Ada".to_owned(),
            })),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
    Router::new().route("/v1/users/{id}", get(user))
}
// ANCHOR_END: listener

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // ANCHOR: serve
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/v1", listener.local_addr());
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(users()));
    // ANCHOR_END: serve

    // ANCHOR: client
    let client = ServiceBuilder::new()
        // Paths become URLs first, so that everything below sees where a request goes.
        .layer(BaseUrlLayer::try_new(base.as_str())?)
        // Directly above what can be slow.
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .service(Transport::new());
    // ANCHOR_END: client

    // ANCHOR: call
    let user: User = client.get("/users/1").send().await?.json().await?;
    println!("user {} is {}", user.id, user.name);

    let error = client
        .get("/users/2")
        .send()
        .await?
        .error_for_status()
        .expect_err("there is no user 2");
    println!("{error}");
    // ANCHOR_END: call

    // ANCHOR: drain
    // Both requests have ended, so this takes no time.
    handle.shutdown();
    let report = serving.await?;
    println!("{} requests were cut", report.cut);
    // ANCHOR_END: drain
    Ok(())
}
