//! Timeouts and deadlines: an attempt that takes too long, a call whose time is up two services deep, and a body that stops half
//! way. `cargo run --example timeouts`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{error::Error, future::ready, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, Rejection},
    listener::Listener,
    resilience::{
        deadline::{
            Deadline, DeadlineHeader, DeadlineLayer, Deadlined, SendDeadline, SendDeadlineLayer,
        },
        timeout::{BodyTimeout, BodyTimeoutLayer, Timeout, TimeoutLayer},
    },
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tower::ServiceBuilder;

// ANCHOR: client
type Client = Deadlined<SendDeadline<Timeout<BodyTimeout<Transport>>>>;

fn client() -> Client {
    ServiceBuilder::new()
        // Outermost: what all the attempts of a call may take together.
        .layer(DeadlineLayer::new(Duration::from_secs(2)))
        // Retries and failover would stand here. Below them, so that each attempt tells its peer what is left by then.
        .layer(SendDeadlineLayer::default())
        // One attempt, to the head of its response.
        .layer(TimeoutLayer::new(Duration::from_millis(500)))
        // The body that follows: how long it may send nothing.
        .layer(BodyTimeoutLayer::new().idle(Duration::from_millis(200)))
        .service(Transport::new())
}
// ANCHOR_END: client

// ANCHOR: front
/// A service that calls the backend while it serves, in the time that its own caller left it.
fn front(client: Client, backend: String) -> Router {
    async fn handler(
        State((client, backend)): State<(Client, String)>,
        Extension(deadline): Extension<Deadline>,
        Path(path): Path<String>,
    ) -> Result<String, StatusCode> {
        let call = client
            .get(format!("{backend}/{path}"))
            // From the request that is served to the request that is made.
            .extension(deadline)
            .send();
        let response = call.await.map_err(|_| StatusCode::GATEWAY_TIMEOUT)?;
        response.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
    }

    Router::new()
        .route("/{path}", get(handler))
        .with_state((client, backend))
        // Ten seconds at most, and less if the caller says so.
        .layer(
            DeadlineLayer::new(Duration::from_secs(10))
                .accept_header(DeadlineHeader::default())
                .reject_with(Rejection::into_response),
        )
}
// ANCHOR_END: front

/// Says how much time it was given; never answers; or stops half way.
fn backend() -> Router {
    async fn quick(headers: HeaderMap) -> String {
        match DeadlineHeader::default().read(&headers) {
            Some(left) if left <= Duration::from_secs(1) => "less than a second".to_owned(),
            Some(_) => "more than a second".to_owned(),
            None => "no limit".to_owned(),
        }
    }
    Router::new()
        .route("/quick", get(quick))
        .route("/stuck", get(std::future::pending::<()>))
        .route(
            "/half",
            get(|| async {
                let half = stream::once(ready(Ok::<_, BoxError>("half")));
                Body::from_stream(half.chain(stream::pending()))
            }),
        )
}

/// Starts a service on a free port, and says where.
async fn start(app: Router) -> Result<String, BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    tokio::spawn(async move { listener.serve(app).await });
    Ok(url)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let backend = start(backend()).await?;
    let front = start(front(client(), backend.clone())).await?;
    let client = client();

    // ANCHOR: attempt
    let started = Instant::now();
    let error = client.get(format!("{backend}/stuck")).send().await;
    let error = error.expect_err("it never answers");
    println!(
        "an attempt: {} after {:.1?}",
        why(&error),
        started.elapsed()
    );
    // ANCHOR_END: attempt

    // ANCHOR: body
    let started = Instant::now();
    let response = client.get(format!("{backend}/half")).send().await?;
    println!("a body: {} at once", response.status());
    let error = response.text().await.expect_err("half of it is missing");
    println!("a body: {} after {:.1?}", why(&error), started.elapsed());
    // ANCHOR_END: body

    // ANCHOR: nested
    let response = client
        .get(format!("{front}/quick"))
        .extension(Deadline::after(Duration::from_millis(900)))
        .send()
        .await?;
    println!(
        "two services deep: the backend has {}",
        response.text().await?
    );

    let started = Instant::now();
    let result = client
        .get(format!("{front}/stuck"))
        .extension(Deadline::after(Duration::from_millis(300)))
        .send()
        .await;
    let end = match result {
        Err(error) => why(&error),
        // It knows the same deadline, and may be the first to say so.
        Ok(response) => format!("the front said {}", response.status()),
    };
    println!(
        "two services deep: {end}, and it took {:.1?}",
        started.elapsed()
    );
    // ANCHOR_END: nested
    Ok(())
}

/// The innermost reason.
fn why(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
