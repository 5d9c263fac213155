//! A circuit breaker in front of a service that goes down and comes back: `cargo run --example circuit_breaker`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use bartizan::{
    client::{BaseUrlLayer, RequestExt, Transport},
    core::{BoxError, Rejection, find},
    listener::Listener,
    resilience::{
        backoff::Backoff,
        circuit_breaker::{CircuitBreakerLayer, State},
        timeout::TimeoutLayer,
    },
};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let is_down = Arc::new(AtomicBool::new(true));
    let url = serve(Arc::clone(&is_down)).await?;

    // ANCHOR: stack
    let breaker = CircuitBreakerLayer::http()
        // Three in a row are enough here. The ratio over a minute is on by default too.
        .consecutive_failures(3)
        .open_time(Backoff::constant(Duration::from_millis(200)))
        .build()?;
    let handle = breaker.handle();
    let client = ServiceBuilder::new()
        .layer(BaseUrlLayer::try_new(url)?)
        // Above the timeout, or it would not see timeouts.
        .layer(breaker)
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .service(Transport::new());
    // ANCHOR_END: stack

    // ANCHOR: open
    for call in 1..=4 {
        match client.get("/").send().await {
            Ok(response) => println!("call {call}: {}, {:?}", response.status(), handle.state()),
            Err(error) => {
                // Refused here: the service was spared it.
                let refused = find::<Rejection>(&error).is_some_and(Rejection::is_unsent);
                println!("call {call}: refused: {refused}, {:?}", handle.state());
            }
        }
    }
    // ANCHOR_END: open

    // ANCHOR: recover
    is_down.store(false, Relaxed);
    let mut states = handle.watch();
    while handle.state() != State::Closed {
        if let Some(after) = handle.snapshot().remaining {
            tokio::time::sleep(after).await;
        }
        // The first call after the open time is the probe. Its body is read to the end, because a body that breaks off is a failure.
        if let Ok(response) = client.get("/").send().await {
            bartizan::client::ResponseExt::discard(response).await?;
        }
    }
    println!("it is back: {:?}", states.changed().await);
    // ANCHOR_END: recover
    Ok(())
}

/// A service that can be taken down, and where it is.
async fn serve(is_down: Arc<AtomicBool>) -> Result<String, BoxError> {
    let answer = move || async move {
        match is_down.load(Relaxed) {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::OK,
        }
    };
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(Router::new().route("/", get(answer))));
    Ok(url)
}
