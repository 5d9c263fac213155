//! Our layers over hyper-util's client. `cargo run --example over_hyper_util`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use bartizan::{
    client::{Client, CookieLayer, FinalUri, Jar, RedirectLayer, RequestExt, ResponseExt},
    core::{Body, BoxError},
    listener::Listener,
    resilience::{retry::RetryLayer, timeout::TimeoutLayer},
};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));

    // ANCHOR: stack
    // What you have. The body is ours, so that requests can be sent twice.
    let hyper: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build_http();

    let stack = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .layer(CookieLayer::new(Jar::new()))
        .layer(RetryLayer::builder().build()?)
        // Its error is its own, and cannot be made from a refusal: the layer next to it boxes it.
        .layer(TimeoutLayer::new(Duration::from_secs(5)).box_errors())
        .service(hyper);

    // The verbs work on the stack itself.
    let response = stack.get(format!("{base}/login")).send().await?;
    let end = response
        .extensions()
        .get::<FinalUri>()
        .ok_or("no redirects")?;
    println!("it ended at {}", end.uri().path());
    println!("{}", response.text().await?);

    // A type that can be written down.
    let client: Client = Client::from_service(stack);
    println!("{}", client.get(&base).send().await?.text().await?);
    // ANCHOR_END: stack
    Ok(())
}

fn server() -> Router {
    async fn home(headers: HeaderMap) -> String {
        let cookie = headers
            .get("cookie")
            .and_then(|cookie| cookie.to_str().ok());
        format!("hello, {}", cookie.unwrap_or("stranger"))
    }
    let login = (
        StatusCode::FOUND,
        [(header::SET_COOKIE, "user=7"), (header::LOCATION, "/")],
    );
    Router::new()
        .route("/", get(home))
        .route("/login", get(move || async move { login.into_response() }))
}
