//! A peer with more callers than it bears, without a limit and with one that adapts: `cargo run --example adaptive_limits`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bartizan::{core::BoxError, resilience::adaptive_limit::AdaptiveLimitLayer};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// How many calls the peer works on at a time. Nobody has told the client.
const CAPACITY: u32 = 10;
const CALLERS: u32 = 80;

/// Answers after 20 ms, or later if it has more to do than it can.
fn peer() -> impl Service<(), Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static
{
    let in_flight = Arc::new(AtomicU32::new(0));
    service_fn(move |()| {
        let in_flight = in_flight.clone();
        async move {
            let load = in_flight.fetch_add(1, Ordering::Relaxed) + 1;
            sleep(Duration::from_millis(20) * load.max(CAPACITY) / CAPACITY).await;
            in_flight.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        }
    })
}

/// Keeps all callers busy for a second. Answers how many calls were answered, and how long the one in the middle took.
async fn load<S>(service: S) -> Result<(usize, Duration), BoxError>
where
    S: Service<(), Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    let end = Instant::now() + Duration::from_secs(1);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let started = Instant::now();
                    match service.clone().oneshot(()).await {
                        Ok(()) => times.push(started.elapsed()),
                        // Refused at once: the caller can do something else, ask elsewhere, or say so.
                        Err(_) => sleep(Duration::from_millis(20)).await,
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await?);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).ok_or("nothing was answered")?;
    Ok((times.len(), *median))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (answered, without) = load(peer()).await?;
    println!("without a limit: {answered} answers, the median took {without:.0?}");

    // ANCHOR: stack
    let limit = AdaptiveLimitLayer::default();
    let handle = limit.handle();
    let client = ServiceBuilder::new()
        // Above the transport, and one per peer: it finds out what this one bears.
        .layer(limit)
        .service(peer());
    // ANCHOR_END: stack

    let (answered, with) = load(client).await?;
    println!("with one that adapts: {answered} answers, the median took {with:.0?}");
    let snapshot = handle.snapshot();
    println!("the limit is {} now", snapshot.limit);
    if with > without / 2 {
        return Err("the limit was of no use".into());
    }
    Ok(())
}
