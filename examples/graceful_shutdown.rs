//! Graceful shutdown as Kubernetes has it: not ready first, then a drain, and a cut at the second signal.
//! `cargo run --example graceful_shutdown`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::BoxError,
    listener::{Listener, ShutdownHandle},
};
use tokio::{sync::mpsc, time::sleep};

// ANCHOR: signals
/// Each SIGTERM and each Ctrl-C, from now on.
#[cfg(unix)]
fn signals() -> std::io::Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, signals) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // More than two make no difference.
            let _ = sender.try_send(());
        }
    });
    Ok(signals)
}
// ANCHOR_END: signals

// ANCHOR: shutdown
/// The order in which a pod goes.
async fn shut_down(
    mut signals: mpsc::Receiver<()>,
    ready: Arc<AtomicBool>,
    still_sent: Duration,
    handle: ShutdownHandle,
) {
    signals.recv().await;
    // Requests are welcome still: who routes them here does not know yet.
    ready.store(false, Relaxed);
    println!("not ready");
    tokio::select! {
        () = sleep(still_sent) => {}
        // Somebody is in a hurry.
        _ = signals.recv() => handle.cut(),
    }
    handle.shutdown();
    println!("draining");
    signals.recv().await;
    handle.cut();
}
// ANCHOR_END: shutdown

// ANCHOR: probes
/// On a port of its own, which answers for as long as the process lives.
fn probes(ready: Arc<AtomicBool>) -> Router {
    async fn readyz(State(ready): State<Arc<AtomicBool>>) -> StatusCode {
        if ready.load(Relaxed) {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
    Router::new()
        // A pod that drains is alive: who is not gets killed.
        .route("/livez", get(|| async { StatusCode::NO_CONTENT }))
        .route("/readyz", get(readyz))
        .with_state(ready)
}
// ANCHOR_END: probes

fn app() -> Router {
    Router::new().route("/", get(|| async { "hello" })).route(
        "/slow",
        get(|| async {
            sleep(Duration::from_secs(1)).await;
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
    // Before anything is served, so that no signal is lost.
    let signals = signals()?;
    let ready = Arc::new(AtomicBool::new(true));

    let probe_listener = Listener::bind("127.0.0.1:0").await?;
    let probe_url = format!("http://{}", probe_listener.local_addr());
    let probe_handle = probe_listener.handle();
    let probing = tokio::spawn(probe_listener.serve(probes(ready.clone())));

    let listener = Listener::bind("127.0.0.1:0")
        .await?
        // With `still_sent` it is less than `terminationGracePeriodSeconds`, which is 30 s unless told otherwise.
        .drain_timeout(Duration::from_secs(20));
    let url = format!("http://{}", listener.local_addr());
    let still_sent = Duration::from_millis(500);
    tokio::spawn(shut_down(signals, ready, still_sent, listener.handle()));
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(app()));
    // ANCHOR_END: serve

    let client = Transport::new();
    let status = client
        .get(format!("{probe_url}/readyz"))
        .send()
        .await?
        .status();
    println!("/readyz: {status}");

    // What Kubernetes does.
    let process = std::process::id().to_string();
    let mut kill = std::process::Command::new("kill");
    if !kill.args(["-TERM", &process]).status()?.success() {
        return Err("kill failed".into());
    }
    while client
        .get(format!("{probe_url}/readyz"))
        .send()
        .await?
        .status()
        != 503
    {}
    println!("/readyz: 503 Service Unavailable");

    // Somebody who does not know yet, on a connection of their own.
    let late = Transport::new();
    let text = late.get(format!("{url}/")).send().await?.text().await?;
    println!("a late request: {text}");
    let slow = late.get(format!("{url}/slow"));
    let slow = tokio::spawn(slow.send());
    handle.draining().await;
    let text = slow.await??.text().await?;
    println!("a request in flight: {text}");

    // ANCHOR: end
    let drained = serving.await?;
    println!(
        "{} finished in the drain, {} were cut",
        drained.drained, drained.cut
    );
    let status = client
        .get(format!("{probe_url}/livez"))
        .send()
        .await?
        .status();
    println!("/livez: {status}");
    // Last, when nobody is left to ask.
    probe_handle.shutdown();
    probing.await?;
    // ANCHOR_END: end
    Ok(())
}
