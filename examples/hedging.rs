//! Hedging: one answer in fifty takes long, and a second attempt saves it. `cargo run --example hedging`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError, HttpClassify},
    listener::Listener,
    resilience::{
        hedge::{Hedge, HedgeHandle, HedgeLayer, Idempotent},
        timeout::{Timeout, TimeoutLayer},
    },
};
use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;

// ANCHOR: stack
type Client = Hedge<Timeout<Transport>, Idempotent, HttpClassify>;

fn client() -> Result<(Client, HedgeHandle), ConfigError> {
    // After the 95th percentile of what calls took lately, one more attempt, for at most a twentieth of the calls.
    let hedge = HedgeLayer::http().build()?;
    let handle = hedge.handle();
    let client = ServiceBuilder::new()
        // Outermost, because it makes the attempts.
        .layer(hedge)
        // Within the hedge, so that each attempt has its own time.
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .service(Transport::new());
    Ok((client, handle))
}
// ANCHOR_END: stack

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = backend().await?;
    let (client, hedge) = client()?;

    // Nothing is known of the backend yet, so there are no second attempts.
    let (p50, p99) = load(&client, &url).await?;
    println!("before it knows: half within {p50:.0?}, 99 % within {p99:.0?}");
    // ANCHOR: handle
    if let Some(delay) = hedge.delay() {
        println!("95 % come within {delay:.1?}, and who takes longer is asked again");
    }
    let (p50, p99) = load(&client, &url).await?;
    println!("and then: half within {p50:.0?}, 99 % within {p99:.0?}");
    println!(
        "{} second attempts, {} of them answered first, {} were over the budget",
        hedge.sent(),
        hedge.won(),
        hedge.denied()
    );
    // ANCHOR_END: handle
    Ok(())
}

/// Twenty callers for a little more than a second, which is how often the percentile is computed. What half, and nearly all, of their
/// calls took.
async fn load(client: &Client, url: &str) -> Result<(Duration, Duration), BoxError> {
    let until = Instant::now() + Duration::from_millis(1100);
    let callers = (0..20).map(|_| {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                let started = Instant::now();
                client.get(&url).send().await?.text().await?;
                took.push(started.elapsed());
            }
            Ok::<_, BoxError>(took)
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut took = Vec::new();
    for caller in callers {
        took.extend(caller.await??);
    }
    took.sort_unstable();
    Ok((took[took.len() / 2], took[took.len() * 99 / 100]))
}

/// Answers in 2 ms, and every fiftieth time in 300.
async fn backend() -> Result<String, BoxError> {
    async fn answer(State(calls): State<Arc<AtomicU32>>) -> &'static str {
        let unlucky = calls.fetch_add(1, Ordering::Relaxed) % 50 == 49;
        sleep(Duration::from_millis(if unlucky { 300 } else { 2 })).await;
        "hello"
    }

    let app = Router::new()
        .route("/", get(answer))
        .with_state(Arc::default());
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr());
    tokio::spawn(async move { listener.serve(app).await });
    Ok(url)
}
