//! Server-sent events: a stream that outlives its connections. `cargo run --example sse`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::pin::pin;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan::{
    client::{RequestExt, ResponseExt, Timeouts, Transport},
    core::{BoxError, StatusSet},
    listener::Listener,
};
use futures_util::TryStreamExt;
use serde::Deserialize;

// ANCHOR: types
#[derive(Debug, Deserialize)]
struct Price {
    symbol: String,
    cents: u64,
}
// ANCHOR_END: types

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));
    let client = Transport::new();

    // ANCHOR: source
    let mut timeouts = Timeouts::new();
    // The server sends at least a comment every 15 s.
    timeouts.read = Some(std::time::Duration::from_secs(45));
    let source = client
        .get(format!("{base}/prices"))
        .timeouts(timeouts)
        .event_source()?
        .reconnect_on(StatusSet::range(502, 504))
        .max_attempts(5);
    let mut events = pin!(source);
    while let Some(event) = events.try_next().await? {
        match event.name() {
            "price" => {
                let price: Price = event.json()?;
                println!("{}: {} at {}", event.id(), price.symbol, price.cents);
            }
            name => println!(
                "{}: {name}: {}",
                event.id(),
                event.data().replace('\n', " / ")
            ),
        }
    }
    println!("no more, after event {}", events.get_last_event_id());
    // ANCHOR_END: source

    // ANCHOR: later
    // Another run of the program, which has kept the id.
    let source = client
        .get(format!("{base}/prices"))
        .event_source()?
        .last_event_id("3");
    let events: Vec<_> = source.try_collect().await?;
    println!("afterwards: {} event", events.len());
    // ANCHOR_END: later

    // ANCHOR: once
    // The events of one response alone.
    let response = client.get(format!("{base}/prices")).send().await?;
    let events: Vec<_> = response.error_for_status()?.events()?.try_collect().await?;
    println!("one response: {} events", events.len());

    let response = client.get(format!("{base}/page")).send().await?;
    let error = response.events().expect_err("a page is no stream");
    println!("{}", error.to_string().replace(&base, ""));
    // ANCHOR_END: once
    Ok(())
}

/// Four events, two for each connection, and then the end.
fn server() -> Router {
    const EVENTS: [&str; 4] = [
        "id: 1\nevent: price\ndata: {\"symbol\": \"A\", \"cents\": 120}\n\n",
        "id: 2\ndata: the market\ndata: is open\n\n",
        ": still here\n\nid: 3\nevent: price\ndata: {\"symbol\": \"B\", \"cents\": 95}\n\n",
        "id: 4\ndata: the market\ndata: is closed\n\n",
    ];

    async fn prices(headers: HeaderMap) -> Response {
        let last = headers.get("last-event-id").and_then(|it| it.to_str().ok());
        let seen = last.and_then(|last| last.parse().ok()).unwrap_or(0);
        let rest = EVENTS.iter().skip(seen).take(2).copied();
        let text: String = rest.collect();
        if text.is_empty() {
            // How a server says that there is no more.
            return StatusCode::NO_CONTENT.into_response();
        }
        let headers = [(header::CONTENT_TYPE, "text/event-stream")];
        // What ends each response here ends a connection elsewhere.
        (headers, format!("retry: 20\n{text}")).into_response()
    }

    Router::new()
        .route("/prices", get(prices))
        .route("/page", get(|| async { "<p>prices</p>" }))
}
