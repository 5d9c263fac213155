//! An axum app, served well: the layers that nearly every service wants, each where it belongs. `cargo run --example serving`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, Rejection},
    listener::{
        Listener, caching::ConditionalLayer, catch_panic::CatchPanicLayer, compression,
        methods::AutoOptionsLayer, request_id::RequestIdLayer,
    },
    resilience::timeout::TimeoutLayer,
};
use tower::{Layer, ServiceBuilder};

// ANCHOR: app
fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/long", get(|| async { "hello ".repeat(1000) }))
        .route("/stuck", get(std::future::pending::<()>))
        .route("/broken", get(broken))
        .layer(
            ServiceBuilder::new()
                // Outermost, so that everything below can name the request.
                .layer(RequestIdLayer::new())
                // Here stands what logs and measures: it sees every answer, those of the layers below too.
                //
                // Above whatever may panic: the handlers, and the layers below.
                .layer(CatchPanicLayer::new())
                // Above what makes tags, because it changes the bytes.
                .layer(compression::responses())
                // 304 where the client has it already.
                .layer(ConditionalLayer::new().hash_up_to(64 << 10))
                // Innermost: what the handler may take. An axum service cannot fail, so it becomes a response.
                .layer(TimeoutLayer::new(HANDLER_TIMEOUT).reject_with(Rejection::into_response)),
        )
}
// ANCHOR_END: app

/// Short, so that the program ends.
const HANDLER_TIMEOUT: Duration = Duration::from_millis(200);

async fn broken() -> &'static str {
    let empty: Vec<&str> = Vec::new();
    empty[0]
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // What is caught is not printed a second time.
    std::panic::set_hook(Box::new(|_| {}));

    // ANCHOR: serve
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    // Round the router, which is what knows the methods of a path: 204 with `Allow` to `OPTIONS`, where axum says 405.
    let app = AutoOptionsLayer::new().layer(app());
    let serving = tokio::spawn(listener.shutdown_on_signals().serve(app));
    // ANCHOR_END: serve

    let client = Transport::new();
    let mut tag = None;
    for path in ["/", "/", "/long", "/stuck", "/broken"] {
        let mut call = client
            .get(format!("{url}{path}"))
            .header("accept-encoding", "gzip");
        if let Some(tag) = tag.take() {
            call = call.header("if-none-match", tag);
        }
        let response = call.send().await?;
        let field = |name: &str| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or("none")
        };
        println!(
            "GET {path}: {}, encoding {}, id of {} characters",
            response.status(),
            field("content-encoding"),
            field("x-request-id").len(),
        );
        if path == "/" {
            tag = response.headers().get("etag").cloned();
        }
        response.discard().await?;
    }
    let response = client.options(format!("{url}/")).send().await?;
    println!(
        "OPTIONS /: {}, {:?}",
        response.status(),
        response.headers()["allow"]
    );
    response.discard().await?;

    // ANCHOR: stats
    let stats = handle.stats();
    println!(
        "{} requests, {} connections refused",
        stats.requests, stats.refused
    );
    // ANCHOR_END: stats

    // ANCHOR: drain
    handle.shutdown();
    let drained = serving.await?;
    println!("{} requests were cut", drained.cut);
    // ANCHOR_END: drain
    Ok(())
}
