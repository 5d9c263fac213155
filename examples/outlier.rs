//! Three replicas, of which one begins to fail its calls and another its health checks: `cargo run --example outlier`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use bartizan::{
    client::{BaseUrlLayer, BaseUrlService, Error, RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError, HttpClassify},
    listener::Listener,
    resilience::{
        endpoint::Endpoint,
        health::{HealthCheck, HttpProbe},
        outlier::{AtEnd, Outlier, OutlierDetector},
        timeout::{Timeout, TimeoutLayer},
    },
};
use tower::ServiceBuilder;

// ANCHOR: stack
type Client = BaseUrlService<Outlier<Timeout<Transport>, HttpClassify, AtEnd>>;

struct Replica {
    endpoint: Endpoint,
    client: Client,
}

fn replica(
    detector: &OutlierDetector,
    transport: &Transport,
    name: String,
) -> Result<Replica, ConfigError> {
    let endpoint = Endpoint::new(name);
    // The transport refuses some calls before they are sent. Those say nothing of the replica.
    let classify = HttpClassify::new().look_into::<Error>();
    let client = ServiceBuilder::new()
        .layer(BaseUrlLayer::try_new(endpoint.name())?)
        // One layer per endpoint, all of one detector.
        .layer(detector.http_layer(&endpoint).classify(classify))
        // Below the detector, so that a timeout is a failure that it sees.
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        // Innermost: connections, shared by all.
        .service(transport.clone());
    Ok(Replica { endpoint, client })
}
// ANCHOR_END: stack

// ANCHOR: pick
/// Round robin among the fit: the least that a balancer does.
struct Replicas {
    all: Vec<Replica>,
    next: AtomicUsize,
}

impl Replicas {
    fn pick(&self) -> &Replica {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = |n| &self.all[(start + n) % self.all.len()];
        (0..self.all.len())
            .map(turn)
            .find(|replica| replica.endpoint.is_fit())
            // With nobody left, any is better than none.
            .unwrap_or_else(|| turn(0))
    }
}
// ANCHOR_END: pick

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mocks = [Mock::default(), Mock::default(), Mock::default()];
    let mut urls = Vec::new();
    for mock in &mocks {
        urls.push(mock.start().await?);
    }

    // ANCHOR: detector
    let detector = OutlierDetector::builder()
        // 30 s, if this were not a program that should end.
        .base_ejection(Duration::from_secs(1))
        .build()?;
    tokio::spawn(detector.driver());

    let transport = Transport::new();
    let all = urls
        .into_iter()
        .map(|url| replica(&detector, &transport, url))
        .collect::<Result<_, _>>()?;
    let replicas = Replicas {
        all,
        next: AtomicUsize::new(0),
    };
    // ANCHOR_END: detector

    println!("all are well: {}", six_calls(&replicas).await?);

    // Replica 1 loses its database: it answers its health checks, and nothing else.
    mocks[1].fails.store(true, Ordering::Relaxed);
    // ANCHOR: watch
    let mut watch = detector.watch();
    while detector.ejected() == 0 {
        println!("replica 1 fails: {}", six_calls(&replicas).await?);
    }
    for status in watch.changed().await {
        if let (Some(cause), Some(remaining)) = (status.cause(), status.remaining()) {
            let name = status.endpoint().name();
            println!("{name} is ejected for {cause:?}, for {remaining:.1?}");
        }
    }
    println!("it is ejected: {}", six_calls(&replicas).await?);
    // ANCHOR_END: watch

    mocks[1].fails.store(false, Ordering::Relaxed);
    watch.changed().await;
    println!("its time is up: {}", six_calls(&replicas).await?);

    // ANCHOR: health
    let check = HealthCheck::builder()
        // 10 s, likewise.
        .interval(Duration::from_millis(50))
        .build()?;
    // The transport itself: no retries, no detector.
    let probe = HttpProbe::try_new(transport, "/healthz")?;
    let mut health = None;
    for (i, replica) in replicas.all.iter().enumerate() {
        let (driver, handle) = check.check(&replica.endpoint, probe.clone());
        tokio::spawn(driver);
        if i == 2 {
            health = Some(handle);
        }
    }
    // ANCHOR_END: health
    let mut health = health.expect("there are three");

    // Replica 2 is about to be stopped, and says so.
    mocks[2].is_leaving.store(true, Ordering::Relaxed);
    health.changed().await;
    let snapshot = health.snapshot();
    let reason = snapshot.last_failure().expect("it is unhealthy");
    println!("replica 2 is unhealthy: {reason}");
    println!("it is not called: {}", six_calls(&replicas).await?);

    mocks[2].is_leaving.store(false, Ordering::Relaxed);
    health.changed().await;
    println!("it is back: {}", six_calls(&replicas).await?);
    Ok(())
}

/// Six calls, one after another, and what each replica did with its own.
async fn six_calls(replicas: &Replicas) -> Result<String, BoxError> {
    let mut answers = vec![Vec::new(); replicas.all.len()];
    for _ in 0..6 {
        let picked = replicas.pick();
        let response = picked.client.get("/").send().await?;
        let status = response.status().as_u16();
        response.text().await?;
        for (replica, answers) in replicas.all.iter().zip(&mut answers) {
            if replica.endpoint.name() == picked.endpoint.name() {
                answers.push(status);
            }
        }
    }
    Ok(format!("{answers:?}"))
}

/// A backend that can be broken in two ways.
#[derive(Clone, Default)]
struct Mock {
    fails: Arc<AtomicBool>,
    is_leaving: Arc<AtomicBool>,
}

impl Mock {
    /// Starts it on a free port, and says where.
    async fn start(&self) -> Result<String, BoxError> {
        let answer = |flag: Arc<AtomicBool>, broken: StatusCode| {
            get(move || async move {
                if flag.load(Ordering::Relaxed) {
                    broken
                } else {
                    StatusCode::OK
                }
            })
        };
        let app = Router::new()
            .route(
                "/",
                answer(self.fails.clone(), StatusCode::INTERNAL_SERVER_ERROR),
            )
            .route(
                "/healthz",
                answer(self.is_leaving.clone(), StatusCode::SERVICE_UNAVAILABLE),
            );
        let listener = Listener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr());
        tokio::spawn(async move { listener.serve(app).await });
        Ok(url)
    }
}
