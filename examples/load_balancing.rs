//! Load balancing: three backends, of which one is slow and one fails, and a list of them that changes.
//!
//! `cargo run --example load_balancing` starts them on free ports, calls them, and ends.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BaseUrl, BoxError, ConfigError, HttpClassify},
    listener::Listener,
    resilience::{
        balance::{Balance, BalanceLayer, Based, Endpoints, PeakEwma, ToHead},
        endpoint::Endpoint,
        timeout::{Timeout, TimeoutLayer},
    },
};
use tokio::time::sleep;
use tower::ServiceBuilder;

// ANCHOR: stack
type Client = Balance<Based<Timeout<Transport>>, PeakEwma, ToHead<HttpClassify>>;

fn client(endpoints: Endpoints<BaseUrl>) -> Result<Client, ConfigError> {
    let balance = BalanceLayer::builder().endpoints(endpoints).build()?;
    Ok(ServiceBuilder::new()
        // Outermost: it picks the endpoint that the others work on. Retries would go above it, so that each finds another.
        .layer(balance)
        // Within, so that an endpoint that is too slow is seen to be.
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        // Innermost: connections, shared by all endpoints.
        .service(Transport::new()))
}
// ANCHOR_END: stack

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let steady = backend("steady", Duration::from_millis(2), StatusCode::OK).await?;
    let slow = backend("slow", Duration::from_millis(40), StatusCode::OK).await?;
    let failing = backend("failing", Duration::ZERO, StatusCode::SERVICE_UNAVAILABLE).await?;

    // ANCHOR: list
    let endpoints = Endpoints::new();
    endpoints.insert(Endpoint::new("steady"), steady);
    endpoints.insert(Endpoint::new("slow"), slow);
    endpoints.insert(Endpoint::new("failing"), failing);
    let client = client(endpoints.clone())?;
    // ANCHOR_END: list

    let answers = call(&client, 100).await?;
    println!("one of three is slow and one fails: {answers}");

    // ANCHOR: change
    endpoints.insert(
        Endpoint::new("fresh"),
        backend("fresh", Duration::from_millis(2), StatusCode::OK).await?,
    );
    endpoints.remove("failing");
    // ANCHOR_END: change

    let answers = call(&client, 100).await?;
    println!("a fourth joins and the failing one is taken out: {answers}");

    // ANCHOR: snapshot
    for endpoint in endpoints.snapshot() {
        let name = endpoint.endpoint().name();
        println!(
            "  {name}: {:?}, {} under way",
            endpoint.latency(),
            endpoint.in_flight()
        );
    }
    // ANCHOR_END: snapshot
    Ok(())
}

/// Who answered how often.
async fn call(client: &Client, calls: usize) -> Result<String, BoxError> {
    let names = ["steady", "slow", "failing", "fresh"];
    let mut counts = [0; 4];
    for _ in 0..calls {
        let text = client.get("/").send().await?.text().await?;
        if let Some(i) = names.iter().position(|name| *name == text) {
            counts[i] += 1;
        }
    }
    let lines = names.iter().zip(counts);
    let lines: Vec<_> = lines
        .map(|(name, n)| format!("{name} answered {n}"))
        .collect();
    Ok(lines.join(", "))
}

/// Starts a backend on a free port, which answers with its name.
async fn backend(
    name: &'static str,
    delay: Duration,
    status: StatusCode,
) -> Result<BaseUrl, BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()).parse()?;
    let app = Router::new().fallback(get(move || async move {
        sleep(delay).await;
        (status, name)
    }));
    tokio::spawn(async move { listener.serve(app).await });
    Ok(url)
}
