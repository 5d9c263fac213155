//! Testing with chaos: does the stack do what it is there for? `cargo run --example chaos`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use bartizan::{
    core::{Body, BoxError, ConfigError},
    resilience::{
        chaos::{ChaosHandle, ChaosLayer},
        fallback::{Failed, FallbackLayer, Replaced},
        timeout::TimeoutLayer,
    },
};
use http::{Request, Response};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// What the caller was promised.
const LIMIT: Duration = Duration::from_millis(100);

// ANCHOR: stack
/// A stack over any client, and the switch of the chaos at its bottom.
fn stack<S>(
    client: S,
) -> Result<
    (
        impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync,
        ChaosHandle,
    ),
    ConfigError,
>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync,
{
    let chaos = ChaosLayer::builder()
        .latency(0.2, Duration::from_millis(5)..=Duration::from_millis(20))
        .errors(0.05)
        .hangs(0.05)
        // The same calls fail in every run.
        .seed(7)
        .build()?;
    let switch = chaos.handle();
    let stack = ServiceBuilder::new()
        // Outermost: whatever goes wrong below, there is an answer.
        .layer(FallbackLayer::function(stale).http())
        // Below it, so that a call that hangs becomes an error that it can answer for.
        .layer(TimeoutLayer::new(LIMIT))
        // Innermost, where the network would do it. Off until the switch is turned.
        .layer(chaos)
        .service(client);
    Ok((stack, switch))
}

fn stale(_: Failed<Response<Body>, BoxError>) -> Result<Response<Body>, BoxError> {
    Ok(Response::new(Body::from("yesterday's prices")))
}
// ANCHOR_END: stack

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let client = service_fn(|_: Request<Body>| async {
        Ok::<_, BoxError>(Response::new(Body::from("today's prices")))
    });
    let (stack, switch) = stack(client)?;
    println!("in peace: {}", call_many(&stack).await?);
    switch.enable();
    println!("in chaos: {}", call_many(&stack).await?);
    println!("what happened: {:?}", switch.counts());
    switch.disable();
    println!("in peace again: {}", call_many(&stack).await?);
    Ok(())
}

// ANCHOR: check
/// Makes 200 calls, and fails if one of them has no answer, or is late.
async fn call_many<S>(stack: &S) -> Result<String, BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync,
{
    let mut stale = 0;
    for _ in 0..200 {
        let started = Instant::now();
        let response = stack.clone().oneshot(Request::new(Body::empty())).await?;
        // A second more, as the machine may be busy.
        if started.elapsed() > LIMIT + Duration::from_secs(1) {
            return Err(format!("an answer took {:?}", started.elapsed()).into());
        }
        stale += usize::from(response.extensions().get::<Replaced>().is_some());
    }
    Ok(format!("200 answers, {stale} of them stale"))
}
// ANCHOR_END: check
