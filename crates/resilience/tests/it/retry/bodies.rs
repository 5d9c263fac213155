use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use bartizan_resilience::retry::GaveUp;
use bartizan_testing::{BodyHandle, ControlledBody, ProbeError, Step};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::SECOND;
use super::http::{Handle, Probed, attempts, empty, layer, over_probe, push, status};

fn stream() -> (Request<ControlledBody>, BodyHandle) {
    let (body, frames) = ControlledBody::new();
    (Request::put("/").body(body).expect("valid"), frames)
}

/// What came of a request's body: its data, and its trailers.
type Seen = (Bytes, Option<HeaderMap>);

async fn read(request: Request<Body>) -> Seen {
    let collected = request.into_body().collect().await.expect("a whole body");
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

/// A service that reads the bodies it gets, fails as often as it is told to, and what it has read.
fn reader(failures: usize) -> (Reader, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let service = service_fn(move |request| {
        let log = log.clone();
        async move {
            let read = read(request).await;
            let mut log = log.lock().expect("unpoisoned");
            log.push(read);
            Ok(status(if log.len() > failures { 200 } else { 503 }))
        }
    });
    (BoxCloneSyncService::new(service), seen)
}

type Reader = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

#[tokio::test(start_paused = true)]
async fn a_stream_is_sent_again_with_its_trailers() {
    let (service, seen) = reader(2);
    let service = layer().build().expect("valid").layer(service);
    let (request, frames) = stream();
    let call = tokio::spawn(service.oneshot(request));
    frames.data("hello, ");
    frames.data("");
    frames.data("world");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", 7.into());
    frames.trailers(trailers.clone());
    let response = call.await.expect("no panic").expect("the third");
    assert_eq!(attempts(&response), Some((3, None)));
    let seen = seen.lock().expect("unpoisoned");
    assert_eq!(seen.len(), 3);
    for (data, sent) in &*seen {
        assert_eq!(data, "hello, world");
        assert_eq!(sent.as_ref(), Some(&trailers));
    }
}

/// Parity, fact 3: parts within parts are bytes like any other.
#[tokio::test(start_paused = true)]
async fn a_multipart_body_is_sent_again_nested_parts_too() {
    let multipart = "--a\r\ncontent-type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ninner\r\n--b--\r\n--a--\r\n";
    let (whole, seen_whole) = reader(1);
    let (streamed, seen_streamed) = reader(1);
    let layer = layer().build().expect("valid");
    let request = Request::put("/")
        .body(Body::from(multipart))
        .expect("valid");
    layer
        .layer(whole)
        .oneshot(request)
        .await
        .expect("the second");
    let (request, frames) = stream();
    let call = tokio::spawn(layer.layer(streamed).oneshot(request));
    for part in multipart.as_bytes().chunks(7) {
        frames.data(Bytes::copy_from_slice(part));
    }
    frames.end();
    call.await.expect("no panic").expect("the second");
    for seen in [seen_whole, seen_streamed] {
        let seen = seen.lock().expect("unpoisoned");
        let bodies: Vec<_> = seen.iter().map(|(data, _)| data.clone()).collect();
        assert_eq!(bodies, [multipart, multipart]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_too_long_passes_through_and_is_sent_once() {
    for (limit, again) in [(99, false), (100, true)] {
        let (service, seen) = reader(1);
        let service = layer()
            .body_limit(limit)
            .build()
            .expect("valid")
            .layer(service);
        let (request, frames) = stream();
        frames.data(vec![b'a'; 60]);
        frames.data(vec![b'b'; 40]);
        frames.end();
        let response = service.oneshot(request).await.expect("a response");
        let (count, gave_up) = if again {
            (2, None)
        } else {
            (1, Some(GaveUp::Unrepeatable))
        };
        assert_eq!(attempts(&response), Some((count, gave_up)), "{limit}");
        let seen = seen.lock().expect("unpoisoned");
        assert_eq!(u32::try_from(seen.len()), Ok(count));
        assert!(seen.iter().all(|(data, _)| data.len() == 100), "all of it");
    }
}

#[tokio::test(start_paused = true)]
async fn crumbs_are_counted_for_what_they_take() {
    let (service, seen) = reader(1);
    let service = layer()
        .body_limit(1000)
        .build()
        .expect("valid")
        .layer(service);
    let (request, frames) = stream();
    for _ in 0..500 {
        frames.data("x");
    }
    frames.end();
    let response = service.oneshot(request).await.expect("a response");
    assert_eq!(attempts(&response), Some((1, Some(GaveUp::Unrepeatable))));
    assert_eq!(seen.lock().expect("unpoisoned")[0].0.len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_has_no_limit() {
    let (service, seen) = reader(1);
    let service = layer().body_limit(0).build().expect("valid").layer(service);
    let request = Request::put("/").body(Body::from(vec![0; 1 << 20]));
    service
        .oneshot(request.expect("valid"))
        .await
        .expect("the second");
    assert_eq!(seen.lock().expect("unpoisoned").len(), 2);
}

fn unfinished() -> (Probed, Handle, Request<ControlledBody>, BodyHandle) {
    let (service, handle) = over_probe(layer());
    let (request, frames) = stream();
    frames.data("the beginning");
    (service, handle, request, frames)
}

#[tokio::test(start_paused = true)]
async fn no_retry_while_the_body_is_being_sent() {
    // The probe keeps the request, as a connection does that is still sending it.
    let (service, handle, request, frames) = unfinished();
    handle.push(Step::respond(status(503)));
    let response = service.oneshot(request).await.expect("a response");
    assert_eq!(attempts(&response), Some((1, Some(GaveUp::Unrepeatable))));
    assert!(!frames.counts().dropped);
    frames.end();

    // The same where the error came, and the body did not come back.
    let (service, handle, request, frames) = unfinished();
    handle.push(Step::fail(ProbeError::new("reset")));
    assert!(service.clone().oneshot(request).await.is_err());
    assert_eq!(service.handle().gave_up(GaveUp::Unrepeatable), 1);
    frames.end();
}

#[tokio::test(start_paused = true)]
async fn no_retry_after_an_early_response_even_if_the_body_was_dropped() {
    let dropping = service_fn(|request: Request<Body>| async move {
        drop(request);
        Ok::<_, BoxError>(status(503))
    });
    let service = layer().build().expect("valid").layer(dropping);
    let (request, frames) = stream();
    let response = service.oneshot(request).await.expect("a response");
    assert_eq!(attempts(&response), Some((1, Some(GaveUp::Unrepeatable))));
    frames.end();
}

#[tokio::test(start_paused = true)]
async fn after_an_error_the_body_goes_on_where_it_was_given_back() {
    for frames_read in [0, 1, 2] {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let (seen_sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let breaking = service_fn(move |request: Request<Body>| {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let seen = seen_sender.clone();
            async move {
                if first {
                    let mut body = request.into_body();
                    for _ in 0..frames_read {
                        body.frame().await.expect("a frame")?;
                    }
                    return Err(BoxError::from("reset"));
                }
                seen.send(read(request).await.0).expect("read");
                Ok(status(200))
            }
        });
        let service = layer().build().expect("valid").layer(breaking);
        let (request, frames) = stream();
        let call = tokio::spawn(service.oneshot(request));
        frames.data("one, ");
        frames.data("two, ");
        tokio::time::sleep(Duration::from_secs(9)).await;
        frames.data("three");
        frames.end();
        call.await.expect("no panic").expect("the second");
        assert_eq!(seen.recv().await.expect("read"), "one, two, three");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_broke_off_is_not_sent_again() {
    let reading = service_fn(|request: Request<Body>| async move {
        request.into_body().collect().await?;
        Ok::<_, BoxError>(status(200))
    });
    let service = layer().build().expect("valid").layer(reading);
    let (request, frames) = stream();
    frames.data("half");
    frames.fail(ProbeError::new("the disk is gone"));
    let error = service
        .clone()
        .oneshot(request)
        .await
        .expect_err("half a body");
    assert!(error.is::<ProbeError>());
    assert_eq!(service.handle().gave_up(GaveUp::Unrepeatable), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_the_body_with_its_hints() {
    let (service, handle) = over_probe(layer());
    let (request, frames) = stream();
    frames.set_size_hint(SizeHint::with_exact(8));
    service.clone().oneshot(request).await.expect("a response");
    let mut body = handle.take_requests().remove(0).into_body();
    assert_eq!(body.size_hint().exact(), Some(8));
    assert!(!body.is_end_stream());
    assert!(body.frame().now_or_never().is_none(), "nothing came yet");
    frames.data("all of it");
    frames.end();
    assert_eq!(
        body.frame()
            .await
            .expect("one")
            .expect("data")
            .into_data()
            .ok(),
        Some("all of it".into())
    );
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());

    // A body that is over before it began is no stream.
    let request = Request::put("/")
        .body(Empty::<Bytes>::new())
        .expect("valid");
    service.oneshot(request).await.expect("a response");
    assert!(handle.take_requests()[0].body().try_clone().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_counts_bytes_and_stops_at_the_last_has_sent_it_all() {
    let counting = service_fn({
        let calls = Arc::new(AtomicU32::new(0));
        move |request: Request<Body>| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                let mut body = request.into_body();
                let mut left = body.size_hint().exact().expect("a length");
                while left > 0 {
                    let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
                    left -= frame
                        .expect("more")?
                        .data_ref()
                        .map_or(0, |data| data.len() as u64);
                }
                Ok::<_, BoxError>(status(if first { 503 } else { 200 }))
            }
        }
    });
    let service = layer().build().expect("valid").layer(counting);
    let request = Request::put("/")
        .body(Full::<Bytes>::from("counted"))
        .expect("valid");
    let response = service.oneshot(request).await.expect("a response");
    assert_eq!(attempts(&response), Some((2, None)));
}

/// Hole: retries that cannot compile over a hyper body, which is not `Clone`, nor `Sync`, nor anything else but a body.
#[tokio::test(start_paused = true)]
async fn it_takes_any_body() {
    async fn call<B>(body: B)
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (service, seen) = reader(1);
        let service = layer().build().expect("valid").layer(service);
        let request = Request::put("/").body(body).expect("valid");
        let response = tokio::spawn(service.oneshot(request)).await;
        assert_eq!(
            response.expect("no panic").expect("the second").status(),
            200
        );
        let seen = seen.lock().expect("unpoisoned");
        assert_eq!(seen[0], seen[1]);
    }
    let stream =
        || futures_util::stream::iter([Ok::<_, std::io::Error>(http_body::Frame::data(&b"a"[..]))]);
    call(Full::new(&b"bytes"[..])).await;
    call(String::from("text")).await;
    call(Body::empty()).await;
    call(StreamBody::new(stream())).await;
    call(UnsyncBoxBody::new(StreamBody::new(stream()))).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_is_read_during_the_wait_and_dropped_after_it() {
    let (service, handle) = over_probe(layer().drain_limit(10));
    let (body, frames) = ControlledBody::new();
    push(&handle, [status(503).map(|_| Body::new(body))]);
    frames.data("too late");
    let call = tokio::spawn(service.clone().oneshot(empty(Request::get("/"))));
    let read = frames.until(|counts| counts.frames == 1);
    let read = tokio::time::timeout(SECOND / 2, read).await;
    assert!(read.is_ok(), "it is read before the wait is over");
    assert!(!frames.counts().dropped, "there is time");
    call.await.expect("no panic").expect("the second");
    assert!(frames.counts().dropped, "nobody waits for the rest");
    frames.end();

    // To its end, and no further than the limit.
    for (sizes, read) in [(vec![4, 6], 2), (vec![4, 7, 1], 2), (vec![0; 20], 11)] {
        let (body, frames) = ControlledBody::new();
        for size in sizes {
            frames.data(vec![b'x'; size]);
        }
        frames.end();
        push(&handle, [status(503).map(|_| Body::new(body))]);
        service
            .clone()
            .oneshot(empty(Request::get("/")))
            .await
            .expect("the second");
        assert_eq!(frames.counts().frames, read);
        assert!(frames.counts().dropped);
    }
    // A body that says that it is longer is not begun.
    let (body, frames) = ControlledBody::new();
    frames.set_size_hint(SizeHint::with_exact(11));
    frames.data("hello world");
    frames.end();
    push(&handle, [status(503).map(|_| Body::new(body))]);
    service
        .oneshot(empty(Request::get("/")))
        .await
        .expect("the second");
    assert_eq!(frames.counts().polls, 0);
}
