//! Limits for the internet: a preset of the listener, what it refuses, and what that costs nobody else. `cargo run --example limits`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{Router, routing::post};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError},
    listener::{HttpSettings, MinRate, config},
};
use tokio::{io::AsyncReadExt, net::TcpStream};

// ANCHOR: config
/// Who may connect, how often, and for how long without a word.
fn connections() -> config::ListenerConfig {
    let mut config = config::internet_facing();
    config.listen = vec!["127.0.0.1:0".into()];
    // 256 in the preset. Few, to be seen.
    config.limits.connections_per_client = Some(4);
    config
}

/// What may be said on a connection. Nearly all of it is the default already.
fn http() -> Result<HttpSettings, ConfigError> {
    HttpSettings::builder()
        // The most that any route takes. Without it a body is a stream without an end.
        .max_body_bytes(10_000)
        // A head has to come in one piece, more or less. Short, to be seen.
        .header_read_timeout(Duration::from_millis(300))
        // Body and response have to move, but may be slow for a while.
        .min_request_rate(MinRate::try_new(240, Duration::from_secs(10))?)
        .min_response_rate(MinRate::try_new(240, Duration::from_secs(10))?)
        // Clients that keep a connection for ever never learn of a new instance.
        .max_age(Duration::from_secs(3600))
        .build()
}
// ANCHOR_END: config

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // ANCHOR: serve
    let listener = connections().bind().await?.http(http()?);
    let addr = listener.local_addr();
    let handle = listener.handle();
    let app = Router::new().route(
        "/",
        post(|body: String| async move { body.len().to_string() }),
    );
    let serving = tokio::spawn(listener.shutdown_on_signals().serve(app));
    // ANCHOR_END: serve

    let client = Transport::new();
    let url = format!("http://{addr}/");
    let long = "x".repeat(9_000);
    for (what, call) in [
        ("a good request", client.post(&*url).body("hello")),
        ("a long target", client.post(format!("{url}?{long}"))),
        ("a long field", client.post(&*url).header("x-long", &*long)),
        ("a long body", client.post(&*url).body("x".repeat(20_000))),
    ] {
        let response = call.send().await?;
        println!("{what}: {}", response.status());
        response.discard().await?;
    }

    // Somebody opens more connections than there are places for one client, and says nothing.
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(TcpStream::connect(addr).await?);
    }
    for io in &mut silent {
        // The end, or a reset, which says the same.
        let _ = io.read(&mut [0]).await;
    }
    let stats = handle.stats();
    println!("refused, two or more: {}", stats.refused >= 2);
    println!("the others were closed for saying nothing");

    let status = client.post(&*url).body("hello").send().await?.status();
    println!("a good request: {status}");

    handle.shutdown();
    println!("{} were cut", serving.await?.cut);
    Ok(())
}
