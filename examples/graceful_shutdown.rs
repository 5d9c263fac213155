//! Graceful shutdown as Kubernetes has it: not ready first, then a drain, and a cut at the second signal.
//! `cargo run --example graceful_shutdown`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::BoxError,
    listener::{Listener, Readiness},
};
use tokio::time::sleep;

// ANCHOR: probes
/// On a port of its own, which answers for as long as the process lives.
fn probes(readiness: Readiness) -> Router {
    Router::new()
        // A pod that drains is alive: who is not gets killed.
        .route("/livez", get(|| async { StatusCode::NO_CONTENT }))
        .route_service("/readyz", readiness)
}
// ANCHOR_END: probes

fn app() -> Router {
    Router::new().route("/", get(|| async { "hello" })).route(
        "/slow",
        get(|| async {
            sleep(Duration::from_secs(3)).await;
            "slow, and whole"
        }),
    )
}

#[cfg(not(unix))]
fn main() {
    println!("this program is about SIGTERM");
}

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // ANCHOR: serve
    let listener = Listener::bind("127.0.0.1:0")
        .await?
        // Who routes requests here does not know yet. 5 to 10 s; less here, so that nobody waits for it.
        .drain_delay(Duration::from_secs(2))
        // Together they are less than `terminationGracePeriodSeconds`, which is 30 s unless told otherwise.
        .drain_timeout(Duration::from_secs(20))
        .shutdown_on_signals();
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(app()));

    let probe_listener = Listener::bind("127.0.0.1:0").await?;
    let probe_url = format!("http://{}", probe_listener.local_addr());
    let probe_handle = probe_listener.handle();
    let probing = tokio::spawn(probe_listener.serve(probes(handle.readiness())));
    // ANCHOR_END: serve

    let client = Transport::new();
    let probe = async |path: &str| {
        let response = client.get(format!("{probe_url}{path}")).send().await?;
        Ok::<_, BoxError>(response.status())
    };
    // Once somebody has been served, signals are heeded.
    client
        .get(format!("{url}/"))
        .send()
        .await?
        .discard()
        .await?;
    println!("/readyz: {}", probe("/readyz").await?);

    // What Kubernetes does.
    let process = std::process::id().to_string();
    let mut kill = std::process::Command::new("kill");
    if !kill.args(["-TERM", &process]).status()?.success() {
        return Err("kill failed".into());
    }
    while probe("/readyz").await? != 503 {}
    println!("/readyz: 503 Service Unavailable");

    // Somebody who does not know yet, on a connection of their own.
    let late = Transport::new();
    let text = late.get(format!("{url}/")).send().await?.text().await?;
    println!("a late request: {text}");
    let slow = tokio::spawn(late.get(format!("{url}/slow")).send());
    handle.draining().await;
    let text = slow.await??.text().await?;
    println!("a request in flight: {text}");

    // ANCHOR: end
    let drained = serving.await?;
    println!(
        "{} finished in the drain, {} were cut",
        drained.drained, drained.cut
    );
    println!("/livez: {}", probe("/livez").await?);
    // Last, when nobody is left to ask.
    probe_handle.shutdown();
    probing.await?;
    // ANCHOR_END: end
    Ok(())
}
