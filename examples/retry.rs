//! Retries, and the budget that keeps them from making an outage worse. `cargo run --example retry`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::any};
use bartizan::{
    client::{self, BaseUrlLayer, RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError},
    listener::Listener,
    resilience::{
        backoff::Backoff,
        budget::Budget,
        retry::{Attempts, HttpPolicy, RetryLayer},
        timeout::TimeoutLayer,
    },
};
use tower::{Layer, ServiceBuilder};

/// How many requests the origin has seen.
type Seen = Arc<AtomicU64>;

// ANCHOR: origin
/// Answers one request in three, and is down altogether below `/down`.
fn origin(seen: Seen) -> Router {
    async fn flaky(State(seen): State<Seen>) -> (StatusCode, &'static str) {
        match seen.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => (StatusCode::OK, "hello"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        }
    }
    async fn down(State(seen): State<Seen>) -> StatusCode {
        seen.fetch_add(1, Ordering::Relaxed);
        StatusCode::BAD_GATEWAY
    }
    Router::new()
        .route("/flaky", any(flaky))
        .route("/down", any(down))
        .with_state(seen)
}
// ANCHOR_END: origin

// ANCHOR: layer
fn retry(budget: Budget) -> Result<RetryLayer<HttpPolicy>, ConfigError> {
    RetryLayer::builder()
        // Short, as this is to be watched. Left out, it is 50 ms to 5 s.
        .backoff(Backoff::exponential(
            Duration::from_millis(5),
            Duration::from_millis(20),
        ))
        .budget(budget)
        // What the transport knows not to have left is sent again whatever its method, unless it can never leave.
        .unsent_if(|error: &client::Error| error.is_unsent() && !error.is_builder())
        .modify(|request, attempt| {
            request.headers_mut().insert("x-attempt", attempt.into());
        })
        .build()
}
// ANCHOR_END: layer

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let seen = Seen::default();
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let app = origin(Arc::clone(&seen));
    let serving = tokio::spawn(async move { listener.serve(app).await });

    // ANCHOR: stack
    let layer = retry(Budget::default())?;
    let retries = layer.handle();
    let client = ServiceBuilder::new()
        .layer(BaseUrlLayer::try_new(base.as_str())?)
        // Above the timeout, so that each attempt has its own five seconds.
        .layer(layer)
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .service(Transport::new());
    // ANCHOR_END: stack

    // ANCHOR: calls
    let response = client.get("/flaky").send().await?;
    let attempts = response.extensions().get::<Attempts>().copied();
    println!("GET: {}", response.status());
    println!("  attempts: {}", attempts.map_or(1, Attempts::count));

    // The origin may have acted on the first one.
    let response = client.post("/flaky").text("an order").send().await?;
    println!("POST: {}", response.status());
    if let Some(why) = response
        .extensions()
        .get::<Attempts>()
        .and_then(|attempts| attempts.gave_up())
    {
        println!("  not again: {why}");
    }
    response.discard().await?;

    // With a key, it can tell.
    let response = client
        .post("/flaky")
        .header("idempotency-key", "\"order-7\"")
        .text("an order")
        .send()
        .await?;
    println!("POST with a key: {}", response.status());
    println!("  retries so far: {}", retries.retries());
    // ANCHOR_END: calls

    // ANCHOR: outage
    // A fifth of a retry for each call, nothing for the time that passes, and ten to begin with.
    let budget = Budget::builder()
        .ratio(0.2)
        .per_second(0)
        .burst(10)
        .build()?;
    let client =
        BaseUrlLayer::try_new(base.as_str())?.layer(retry(budget.clone())?.layer(Transport::new()));
    let before = seen.load(Ordering::Relaxed);
    for _ in 0..200 {
        client.get("/down").send().await?.discard().await?;
    }
    let requests = seen.load(Ordering::Relaxed) - before;
    println!(
        "an outage: 200 calls made {requests} requests, and were refused {} retries",
        budget.refused()
    );
    // ANCHOR_END: outage

    handle.shutdown();
    serving.await?;
    Ok(())
}
