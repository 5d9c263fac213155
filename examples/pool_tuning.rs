//! A pool: limits, who waits for how long, what it says of itself, and its end. `cargo run --example pool_tuning`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::Uri, routing::get};
use bartizan::{
    client::{
        RequestExt, ResponseExt, Timeouts, Transport,
        connect::Destination,
        pool::{Pool, PoolEvent, PoolStats},
    },
    core::{BoxError, ConfigError},
    listener::Listener,
};
use futures_util::future::{join_all, try_join_all};
use tokio::time::sleep;

/// What the events are counted in.
#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    waited: AtomicUsize,
}

// ANCHOR: pool
fn transport(counts: Arc<Counts>) -> Result<Transport, ConfigError> {
    let mut timeouts = Timeouts::new();
    // Who has waited for a connection as long as that will not be glad of one any more.
    timeouts.acquire = Some(Duration::from_secs(2));
    let pool = Pool::builder()
        // What the server has workers for.
        .max_connections_per_origin(2)
        // Below what the process may open.
        .max_connections(500)
        .max_waiting(8)
        // Below the server's own, which is 60 s.
        .idle_timeout(Duration::from_secs(50))
        .timeouts(timeouts)
        .observer(move |event| match event {
            PoolEvent::Opened { .. } => {
                counts.opened.fetch_add(1, Ordering::Relaxed);
            }
            PoolEvent::Waited { .. } => {
                counts.waited.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        });
    Transport::builder().pool(pool).build()
}
// ANCHOR_END: pool

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let uri: Uri = format!("http://{}/", listener.local_addr()).parse()?;
    tokio::spawn(listener.serve(Router::new().route(
        "/",
        get(|| async {
            sleep(Duration::from_millis(50)).await;
            "done"
        }),
    )));
    let counts = Arc::<Counts>::default();
    let transport = transport(counts.clone())?;

    // ANCHOR: prewarm
    let destination = Destination::of(&uri).ok_or("the URI has no host")?;
    let begun = transport.pool().prewarm(&destination, 2);
    println!("prewarmed: {begun}");
    // ANCHOR_END: prewarm

    // ANCHOR: burst
    // Six at once over two connections: in three rounds of two.
    let calls = (0..6).map(|_| async { transport.get(&uri).send().await?.text().await });
    try_join_all(calls).await?;
    let stats = transport.pool().stats();
    println!(
        "six calls: {} dialed, {} waiting",
        stats.dialed, stats.waiting
    );
    assert!(stats.reused >= 4 && stats.connections() <= 2);
    // ANCHOR_END: burst
    println!(
        "events: {} opened, at least four waited: {}",
        counts.opened.load(Ordering::Relaxed),
        counts.waited.load(Ordering::Relaxed) >= 4
    );

    until(&transport, |stats| stats.idle == 2).await;
    // ANCHOR: full
    // Two are served, eight wait, and the rest is told at once.
    let calls = (0..12).map(|_| async {
        let response = transport.get(&uri).send().await?;
        response.discard().await
    });
    let results = join_all(calls).await;
    let refused = results.iter().filter_map(|result| result.as_ref().err());
    let refused = refused.filter(|error| error.is_acquire() && error.is_unsent());
    println!("twelve calls: {} refused", refused.count());
    // ANCHOR_END: full

    // ANCHOR: one
    // One request that would rather fail than wait.
    let mut hasty = Timeouts::new();
    hasty.acquire = Some(Duration::from_millis(5));
    let calls = (0..2).map(|_| async { transport.get(&uri).send().await?.discard().await });
    let busy = try_join_all(calls);
    let late = async {
        until(&transport, |stats| stats.in_use == 2).await;
        transport.get(&uri).timeouts(hasty).send().await
    };
    let (busy, late) = tokio::join!(busy, late);
    busy?;
    let error = late.expect_err("both connections are taken for 50 ms");
    println!(
        "in a hurry: timeout {}, acquire {}",
        error.is_timeout(),
        error.is_acquire()
    );
    // ANCHOR_END: one

    until(&transport, |stats| stats.in_flight == 0).await;
    // ANCHOR: drain
    let last = tokio::spawn(transport.get(&uri).send());
    until(&transport, |stats| stats.in_flight == 1).await;
    let (cut, last) = tokio::join!(transport.pool().drain(Duration::from_secs(5)), async {
        last.await?
            .map_err(BoxError::from)?
            .text()
            .await
            .map_err(BoxError::from)
    });
    println!("drained: {cut} cut, and the last call was {}", last?);
    let error = transport.get(&uri).send().await.expect_err("it is closed");
    println!("afterwards: {error}");
    // ANCHOR_END: drain
    Ok(())
}

/// Waits for a moment to show something at.
async fn until(transport: &Transport, is_so: impl Fn(PoolStats) -> bool) {
    while !is_so(transport.pool().stats()) {
        sleep(Duration::from_millis(1)).await;
    }
}
