//! The time between "not ready" and the drain.

use std::{convert::Infallible, time::Duration};

use bartizan_core::{Body, BoxError};
use bartizan_listener::{Connector, Listener, Memory, ShutdownHandle};
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tower::{ServiceExt, service_fn};

use crate::support::{HOUR, gate, within};

const DELAY: Duration = Duration::from_secs(5);

fn listener() -> (Listener<Memory>, Connector, ShutdownHandle) {
    let (listener, connector) = Listener::in_memory();
    let listener = listener.drain_delay(DELAY).drain_timeout(HOUR);
    let handle = listener.handle();
    (listener, connector, handle)
}

/// Serves a probe of readiness, whatever is asked for.
fn serve() -> (Connector, ShutdownHandle, JoinHandle<(u64, u64)>) {
    let (listener, connector, handle) = listener();
    let readiness = handle.readiness();
    let service = service_fn(move |request: Request<Body>| readiness.clone().oneshot(request));
    let serving = listener.serve(service);
    let serving = tokio::spawn(async {
        let drained = serving.await;
        (drained.drained, drained.cut)
    });
    (connector, handle, serving)
}

/// The head of one response, on a connection that is kept.
async fn ask(io: &mut DuplexStream) -> Result<String, BoxError> {
    io.write_all(b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n")
        .await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await?);
    }
    let head = String::from_utf8(head)?.to_lowercase();
    if let Some((_, after)) = head.split_once("content-length: ") {
        let (length, _) = after.split_once('\r').ok_or("a line")?;
        io.read_exact(&mut vec![0; length.parse()?]).await?;
    }
    Ok(head)
}

#[tokio::test(start_paused = true)]
async fn all_is_served_until_it_is_over() {
    let (connector, handle, serving) = serve();
    let mut kept = connector.connect().await.expect("it listens");
    let head = ask(&mut kept).await.expect("an answer");
    assert!(head.starts_with("http/1.1 204 "), "{head}");

    let start = Instant::now();
    handle.shutdown();
    // Late, and again: neither begins it anew.
    sleep_until(start + DELAY - Duration::from_millis(1)).await;
    handle.shutdown();
    assert!(!handle.is_draining() && !handle.readiness().is_ready());
    let mut late = connector.connect().await.expect("it listens");
    for io in [&mut kept, &mut late] {
        let head = ask(io).await.expect("an answer");
        assert!(head.starts_with("http/1.1 503 "), "{head}");
        assert!(!head.contains("connection: close"), "{head}");
    }

    within(handle.draining()).await;
    assert_eq!(start.elapsed(), DELAY);
    // What ended before the drain is not of the drain.
    assert_eq!(within(serving).await.expect("no panic"), (0, 0));
    for io in [&mut kept, &mut late] {
        assert_eq!(io.read(&mut [0]).await.expect("its end"), 0);
    }
    connector.connect().await.expect_err("it is closed");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_drain_begins_after_it() {
    let (listener, connector, handle) = listener();
    let (service, mut keeper) = gate();
    let timeout = Duration::from_secs(7);
    let serving = tokio::spawn(listener.drain_timeout(timeout).serve(service));
    let mut client = connector.connect().await.expect("it listens");
    let asked = client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    asked.await.expect("it reads");
    keeper.arrived().await;

    let start = Instant::now();
    handle.shutdown();
    let drained = within(serving).await.expect("no panic");
    assert_eq!(start.elapsed(), DELAY + timeout);
    assert_eq!((drained.drained, drained.cut), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn it_is_cut_short() {
    let (connector, handle, serving) = serve();
    let mut client = connector.connect().await.expect("it listens");
    ask(&mut client).await.expect("an answer");
    let start = Instant::now();
    handle.shutdown();
    sleep(Duration::from_secs(1)).await;
    handle.cut();
    assert_eq!(within(serving).await.expect("no panic"), (0, 0));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn without_one_the_drain_begins_at_once() {
    let (listener, _connector, handle) = listener();
    let listener = listener.drain_delay(Duration::ZERO);
    handle.shutdown();
    assert!(handle.is_draining());
    let start = Instant::now();
    let never =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    within(listener.serve(never)).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Who shuts down before it serves gives nobody a chance to notice before it does.
#[tokio::test(start_paused = true)]
async fn it_runs_while_it_serves() {
    let (listener, connector, handle) = listener();
    handle.shutdown();
    sleep(HOUR).await;
    assert!(!handle.is_draining());
    let start = Instant::now();
    let readiness = handle.readiness();
    let service = service_fn(move |request: Request<Body>| readiness.clone().oneshot(request));
    let serving = tokio::spawn(listener.serve(service));
    let mut client = connector.connect().await.expect("it listens");
    let head = ask(&mut client).await.expect("an answer");
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    within(serving).await.expect("no panic");
    assert_eq!(start.elapsed(), DELAY);
}
