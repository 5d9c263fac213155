//! Interceptors: code before and after every handler, and errors that look for somebody to handle them.
//! `cargo run --example interceptors`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, problem},
    listener::{
        Listener,
        interceptors::{Failed, Flow, InterceptorsLayer, RequestContext},
    },
};
use tokio::time::Instant;

// ANCHOR: chain
fn interceptors() -> InterceptorsLayer<Body, Body> {
    InterceptorsLayer::builder()
        // At the head, so that the clock runs from the first to the last.
        .request(start_clock)
        .response(stop_clock)
        // Before what may fail on the way out: such errors go towards the head.
        .response_error(explain)
        .request(authenticate)
        // After what may fail on the way in: such errors go towards the tail.
        .request_error(admit_guests)
        .response(check)
        .build()
}
// ANCHOR_END: chain

struct Started(Instant);

async fn start_clock(
    request: Request,
    context: RequestContext,
) -> Result<Flow<Body, Body>, BoxError> {
    context.insert(Started(Instant::now()));
    Ok(Flow::Next(request))
}

async fn stop_clock(mut response: Response, context: RequestContext) -> Result<Response, BoxError> {
    if let Some(started) = context.get::<Started>() {
        let millis = started.0.elapsed().as_secs_f64() * 1000.0;
        let timing = HeaderValue::try_from(format!("app;dur={millis:.3}"))?;
        response.headers_mut().insert("server-timing", timing);
    }
    Ok(response)
}

// ANCHOR: request
struct User(&'static str);

/// A key that nobody has.
#[derive(Debug)]
struct UnknownKey;

async fn authenticate(
    request: Request,
    context: RequestContext,
) -> Result<Flow<Body, Body>, BoxError> {
    let Some(key) = request.headers().get("x-api-key") else {
        // An answer, and no error: only the response interceptors before this place see it.
        let refusal = problem(StatusCode::UNAUTHORIZED, "an X-Api-Key is needed");
        return Ok(Flow::Respond(refusal));
    };
    if key == "s3cret-of-ada" {
        context.insert(User("Ada"));
        return Ok(Flow::Next(request));
    }
    // Not `Err`, which would lose the request's body to whoever goes on with it.
    Ok(Flow::Fail(request, UnknownKey.into()))
}

async fn admit_guests(
    failed: Failed<Body>,
    context: RequestContext,
) -> Result<Flow<Body, Body>, BoxError> {
    if !failed.error.is::<UnknownKey>() {
        return Err(failed.error);
    }
    context.insert(User("guest"));
    Ok(Flow::Next(failed.into_request()))
}
// ANCHOR_END: request

// ANCHOR: response
/// A page without a type is a bug of ours, and browsers guess.
#[derive(Debug)]
struct Untyped;

async fn check(response: Response, _: RequestContext) -> Result<Response, BoxError> {
    if response.headers().contains_key(header::CONTENT_TYPE) {
        Ok(response)
    } else {
        Err(Untyped.into())
    }
}

async fn explain(error: BoxError, _: RequestContext) -> Result<Response, BoxError> {
    if error.is::<Untyped>() {
        let why = "the response has no Content-Type";
        return Ok(problem(StatusCode::INTERNAL_SERVER_ERROR, why));
    }
    // Not ours: the next one towards the head, or a 500 that says nothing.
    Err(error)
}
// ANCHOR_END: response

macro_rules! error {
    ($($name:ident: $text:literal),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($text)
            }
        }
        impl std::error::Error for $name {}
    )*};
}
error!(UnknownKey: "nobody has this key", Untyped: "a response without a type");

// ANCHOR: handler
async fn hello(Extension(context): Extension<RequestContext>) -> String {
    match context.get::<User>() {
        Some(user) => format!("hello, {}", user.0),
        None => "hello, whoever you are".to_owned(),
    }
}
// ANCHOR_END: handler

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let app = Router::new()
        .route("/", get(hello))
        .route("/broken", get(|| async { Body::from("what is this?") }))
        .layer(interceptors());
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let serving = tokio::spawn(async move { listener.serve(app).await });

    let client = Transport::new();
    for (path, key) in [
        ("/", None),
        ("/", Some("s3cret-of-ada")),
        ("/", Some("made-up")),
        ("/broken", Some("s3cret-of-ada")),
    ] {
        let mut call = client.get(format!("{url}{path}"));
        if let Some(key) = key {
            call = call.header("x-api-key", key);
        }
        let response = call.send().await?;
        let timed = response.headers().contains_key("server-timing");
        println!(
            "GET {path}, key {}: {}, timed: {timed}",
            key.unwrap_or("none"),
            response.status(),
        );
        println!("  {}", response.text().await?);
    }

    handle.shutdown();
    serving.await?;
    Ok(())
}
