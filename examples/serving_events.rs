//! Server-sent events: a stream that goes on where the client was, and ends with the drain. `cargo run --example serving_events`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::BoxError,
    listener::{
        Listener, ShutdownHandle,
        sse::{Event, LastEventId, Sse},
    },
};
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

// ANCHOR: handler
async fn ticks(State(listener): State<ShutdownHandle>, headers: HeaderMap) -> Response {
    // A client that was here before says what it saw last.
    let seen = LastEventId::of(&headers).and_then(|id| id.as_str().parse::<u64>().ok());
    let first = seen.map_or(1, |seen| seen.saturating_add(1));
    let ticks = stream::iter(first..).then(|n| async move {
        sleep(Duration::from_millis(20)).await;
        Event::data(format!("tick {n}"))
            .try_named("tick")?
            .try_id(&n.to_string())
            .map_err(BoxError::from)
    });
    // A drain waits for what is in flight, and this would be so for ever.
    let ticks = ticks.take_until(async move { listener.draining().await });
    Sse::new(ticks)
        // When to come back, and so to the next instance.
        .retry(Duration::from_millis(100))
        .into_response()
        .into_response()
}
// ANCHOR_END: handler

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // ANCHOR: serve
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/ticks", listener.local_addr());
    let handle = listener.handle();
    let app = Router::new()
        .route("/ticks", get(ticks))
        .with_state(handle.clone());
    let serving = tokio::spawn(listener.serve(app));
    // ANCHOR_END: serve

    let client = Transport::new();
    let mut last = None;
    for visit in ["first", "second"] {
        let mut call = client.get(&*url);
        if let Some(last) = last.take() {
            call = call.header("last-event-id", last);
        }
        let mut events = call.send().await?.events()?.take(2);
        while let Some(event) = events.next().await {
            let event = event?;
            println!("{visit} visit: {}", event.data());
            last = Some(event.id().to_owned());
        }
        // Dropped here, as by a connection that broke.
    }

    // A third stays until it is asked to go.
    let mut events = client.get(&*url).send().await?.events()?;
    let first = events.next().await.ok_or("an event")??;
    println!("third visit: {}", first.data());
    handle.shutdown();
    let rest = events.filter(|event| std::future::ready(event.is_err()));
    println!("it ended well: {}", rest.count().await == 0);
    println!("{} were cut", serving.await?.cut);
    Ok(())
}
