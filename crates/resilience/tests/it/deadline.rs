use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError, Rejection, find};
use bartizan_resilience::deadline::{
    Deadline, DeadlineHeader, DeadlineLayer, DeadlinePassed, Deadlined, SendDeadlineLayer,
};
use bartizan_testing::{Probe, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const LIMIT: Duration = Duration::from_secs(30);

contract! {
    mod laws {
        layer: |probe| DeadlineLayer::default().layer(probe),
        request: || Request::new(()),
        response: || (),
    }

    mod laws_of_sending {
        layer: |probe| SendDeadlineLayer::default().layer(probe),
        request: || Request::new(()),
        response: || (),
    }
}

type Handle = ProbeHandle<Request<()>, &'static str>;

fn limited() -> (Deadlined<Probe<Request<()>, &'static str>>, Handle) {
    let (probe, handle) = Probe::new(|_: &Request<()>| "in time");
    (DeadlineLayer::new(LIMIT).layer(probe), handle)
}

fn by(deadline: Deadline) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(deadline);
    request
}

/// What the inner service was told.
fn told(handle: &Handle) -> Deadline {
    let request = handle.take_requests().pop().expect("a request");
    *request.extensions().get().expect("a deadline")
}

#[tokio::test(start_paused = true)]
async fn everybody_below_is_told() {
    let (service, handle) = limited();
    service.oneshot(Request::new(())).await.expect("in time");
    assert_eq!(told(&handle).at(), Instant::now() + LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_come_is_rejected_at_the_deadline_and_its_call_dropped() {
    let (service, handle) = limited();
    handle.push(Step::pending());
    let started = Instant::now();
    let error = service
        .oneshot(Request::new(()))
        .await
        .expect_err("too late");
    assert_eq!(started.elapsed(), LIMIT);
    let rejection = find::<Rejection>(&*error).expect("a rejection");
    assert!(rejection.is_timed_out());
    assert_eq!(rejection.layer(), "deadline");
    let passed = find::<DeadlinePassed>(&*error).expect("why");
    assert!(!passed.is_unsent());
    assert_eq!(
        passed.to_string(),
        "the deadline passed, 30s after the call"
    );
    assert_eq!(handle.counts().cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_only_shrinks() {
    for (inherited, expected) in [(5, 5), (30, 30), (300, 30)] {
        let (service, handle) = limited();
        handle.push(Step::pending());
        let started = Instant::now();
        let inherited = Deadline::after(Duration::from_secs(inherited));
        let call = service.oneshot(by(inherited));
        assert!(call.await.is_err());
        assert_eq!(started.elapsed(), Duration::from_secs(expected));
        assert_eq!(told(&handle).at(), started + Duration::from_secs(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn it_shrinks_over_nested_calls() {
    let (innermost, handle) = limited();
    let middle = service_fn(move |request: Request<()>| {
        let innermost = innermost.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let deadline = request.extensions().get::<Deadline>().expect("told");
            innermost.oneshot(by(*deadline)).await
        }
    });
    let outer = DeadlineLayer::new(Duration::from_secs(10)).layer(middle);
    handle.push(Step::respond("late").after(Duration::from_secs(7)));
    let started = Instant::now();
    let error = outer.oneshot(Request::new(())).await.expect_err("too late");
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert!(find::<DeadlinePassed>(&*error).is_some());
    assert_eq!(told(&handle).at(), started + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let (service, handle) = limited();
    let deadline = Deadline::after(Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    let error = service
        .clone()
        .oneshot(by(deadline))
        .now_or_never()
        .expect("at once")
        .expect_err("too late");
    let passed = find::<DeadlinePassed>(&*error).expect("why");
    assert!(passed.is_unsent());
    assert_eq!(handle.counts().calls, 0);

    let zero = DeadlineLayer::new(Duration::ZERO).layer(service);
    assert!(zero.oneshot(Request::new(())).await.is_err());
    assert_eq!(handle.counts().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_at_the_very_deadline_wins() {
    let (service, handle) = limited();
    handle.push(Step::respond("at the deadline").after(LIMIT));
    let response = service.oneshot(Request::new(())).await;
    assert_eq!(response.expect("polled first"), "at the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_was_there_is_not_thrown_away_for_having_been_looked_at_late() {
    let (mut service, handle) = limited();
    handle.push(Step::respond("waiting").after(Duration::from_secs(1)));
    let mut call = Box::pin(service.ready().await.expect("ready").call(Request::new(())));
    assert!(call.as_mut().now_or_never().is_none());
    tokio::time::advance(LIMIT * 2).await;
    assert_eq!(call.await.expect("a response"), "waiting");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_reckoned_from_the_call_and_not_from_the_first_poll() {
    let (mut service, handle) = limited();
    handle.push(Step::pending());
    let call = service.ready().await.expect("ready").call(Request::new(()));
    let started = Instant::now();
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(call.await.is_err());
    assert_eq!(started.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn no_limit_is_too_long() {
    let (probe, handle) = Probe::new(|_: &Request<()>| "in time");
    handle.push(Step::respond("slow").after(Duration::from_secs(1_000_000)));
    let service = DeadlineLayer::new(Duration::MAX).layer(probe);
    assert!(service.oneshot(Request::new(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_header_shortens_the_limit_and_cannot_lengthen_it() {
    for (value, seconds) in [
        ("1500", 1.5),
        ("30000", 30.0),
        ("99999999", 30.0),
        ("18446744073709551615", 30.0),
        ("18446744073709551616", 30.0),
        ("-1", 30.0),
        ("soon", 30.0),
        ("", 30.0),
    ] {
        let (probe, handle) = Probe::new(|_: &Request<()>| "in time");
        let layer = DeadlineLayer::default().accept_header(DeadlineHeader::default());
        let request = Request::get("/").header("x-request-timeout-ms", value);
        let call = layer.layer(probe).oneshot(request.body(()).expect("valid"));
        assert!(call.await.is_ok());
        assert_eq!(
            told(&handle).remaining(),
            Duration::from_secs_f64(seconds),
            "{value:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_header_is_read_unless_told() {
    let (service, handle) = limited();
    let request = Request::get("/").header("x-request-timeout-ms", "1");
    let call = service.oneshot(request.body(()).expect("valid"));
    assert!(call.await.is_ok());
    assert_eq!(told(&handle).remaining(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_leaves_nothing_is_a_deadline_that_has_passed() {
    let (probe, handle) = Probe::new(|_: &Request<()>| "in time");
    let layer = DeadlineLayer::default().accept_header(DeadlineHeader::grpc());
    let request = Request::get("/").header("grpc-timeout", "0n");
    let call = layer.layer(probe).oneshot(request.body(()).expect("valid"));
    let error = call.await.expect_err("no time");
    assert!(find::<DeadlinePassed>(&*error).is_some_and(DeadlinePassed::is_unsent));
    assert_eq!(handle.counts().calls, 0);
}

/// The value of the header that the inner service got.
fn sent(handle: &Handle) -> Option<String> {
    let request = handle.take_requests().pop().expect("a request");
    let value = request.headers().get("x-request-timeout-ms");
    value.map(|value| value.to_str().expect("text").to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_told_what_is_left_by_then() {
    let (probe, handle) = Probe::new(|_: &Request<()>| "in time");
    let mut service = SendDeadlineLayer::default().layer(probe);
    let deadline = Deadline::after(Duration::from_secs(2));
    for expected in ["2000", "1500", "1000", "500", "1", "1"] {
        let mut request = by(deadline);
        // What the caller wrote is not what is left.
        let headers = request.headers_mut();
        headers.append("x-request-timeout-ms", "7".parse().expect("a value"));
        headers.append("x-request-timeout-ms", "8".parse().expect("a value"));
        let call = service.ready().await.expect("ready").call(request);
        call.await.expect("a response");
        assert_eq!(sent(&handle).as_deref(), Some(expected));
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    let call = service.ready().await.expect("ready").call(Request::new(()));
    call.await.expect("a response");
    assert_eq!(sent(&handle), None, "there was no deadline to tell of");
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let stuck =
        service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let service = DeadlineLayer::default()
        .reject_with(Rejection::into_response)
        .layer(stuck);
    let started = Instant::now();
    let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), 504);
    assert_eq!(started.elapsed(), LIMIT, "the default");
}

/// Answers at once, and never allocates.
#[derive(Clone)]
struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Request<()>;
    type Error = BoxError;
    type Future = Ready<Result<Request<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(request))
    }
}

#[tokio::test]
async fn nothing_is_allocated_for_a_request_that_has_a_deadline() {
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::default().accept_header(DeadlineHeader::default()))
        .layer(DeadlineLayer::new(LIMIT))
        .service(Bare);
    let mut request = Some(by(Deadline::after(LIMIT * 9)));
    let mut cx = Context::from_waker(Waker::noop());
    let ((), count) = allocations(|| {
        for _ in 0..1000 {
            let mut service = stack.clone();
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut call = pin!(service.call(request.take().expect("given back")));
            let Poll::Ready(Ok(answer)) = call.as_mut().poll(&mut cx) else {
                panic!("it answers at once");
            };
            request = Some(answer);
        }
    });
    assert_eq!(count, 0);
}

#[tokio::test]
async fn for_one_that_has_none_it_costs_an_extension_and_no_more() {
    let deadline = Deadline::after(LIMIT);
    let (_, extension) = allocations(|| by(deadline));
    let mut service = DeadlineLayer::default().layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let (_, count) = allocations(|| {
        let mut call = pin!(service.call(Request::new(())));
        assert!(call.as_mut().poll(&mut cx).is_ready());
    });
    assert_eq!(count, extension);
}
