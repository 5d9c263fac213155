//! Faults happen to the calls they are meant for, and a layer that has none to make keeps every law.

use std::{future::poll_fn, time::Duration};

use bartizan_core::{Body, BoxError, find};
use bartizan_testing::{
    ControlledBody, Fault, FaultBody, FaultLayer, Faults, Probe, ProbeError, ProbeHandle, contract,
};
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tower_layer::Layer;
use tower_service::Service;

contract! {
    mod without_faults {
        layer: |probe| FaultLayer::new().layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::from("hello")),
    }

    mod with_a_body_that_is_cut {
        layer: |probe| {
            let layer = FaultLayer::new();
            for _ in 0..100 {
                layer.push(Fault::cut_body(1));
            }
            layer.layer(probe)
        },
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::from("hello")),
    }
}

type Handle = ProbeHandle<(), Response<Body>>;

fn faulty() -> (Faults<Probe<(), Response<Body>>>, Handle, FaultLayer) {
    let (probe, handle) = Probe::new(|(): &()| Response::new(Body::from("hello")));
    let layer = FaultLayer::new();
    (layer.layer(probe), handle, layer)
}

async fn call<S>(service: &mut S) -> Result<Response<FaultBody<Body>>, BoxError>
where
    S: Service<(), Response = Response<FaultBody<Body>>, Error = BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(()).await
}

#[tokio::test]
async fn an_error_before_leaves_the_call_unmade_and_the_inner_service_ready() {
    let (mut service, handle, faults) = faulty();
    faults.push(Fault::before(ProbeError::new("refused")));
    let error = call(&mut service).await.unwrap_err();
    assert_eq!(find::<ProbeError>(&*error).unwrap().to_string(), "refused");
    assert_eq!(handle.counts().calls, 0);
    // The probe panics if it is called without having been made ready; it was, once.
    assert!(service.call(()).await.is_ok());
    assert_eq!((handle.counts().calls, handle.counts().readies), (1, 1));
}

#[tokio::test]
async fn an_error_after_makes_the_call_and_loses_its_answer() {
    let (mut service, handle, faults) = faulty();
    faults.push(Fault::after(ProbeError::new("reset")));
    assert_eq!(faults.left(), 1);
    let error = call(&mut service).await.unwrap_err();
    assert_eq!(error.to_string(), "reset");
    assert_eq!((handle.counts().calls, handle.counts().in_flight), (1, 0));
    assert_eq!(faults.left(), 0);
    assert!(call(&mut service).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_hang_makes_no_call_and_a_delay_makes_it_later() {
    let (mut service, handle, faults) = faulty();
    faults.push(Fault::hang());
    faults.push(Fault::none().delay(Duration::from_secs(7)));
    timeout(Duration::from_secs(3600), call(&mut service))
        .await
        .unwrap_err();
    assert_eq!(handle.counts().calls, 0);
    let before = Instant::now();
    call(&mut service).await.unwrap();
    assert_eq!(before.elapsed(), Duration::from_secs(7));
    assert_eq!(handle.counts().calls, 1);
}

#[tokio::test]
async fn a_body_is_cut_after_so_many_bytes_and_not_when_it_has_no_more() {
    for (cut, expected, whole) in [
        (0, "", false),
        (2, "he", false),
        (4, "hell", false),
        (5, "hello", true),
        (9, "hello", true),
    ] {
        let (mut service, _handle, faults) = faulty();
        faults.push(Fault::cut_body(cut));
        let mut body = call(&mut service).await.unwrap().into_body();
        assert_eq!(body.size_hint().exact(), Some(5));
        let mut received = String::new();
        let mut error = None;
        // As hyper reads: a body that says it has ended is not asked again.
        while !body.is_end_stream() {
            match body.frame().await {
                Some(Ok(frame)) => {
                    received.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
                }
                Some(Err(failed)) => {
                    error = Some(failed);
                    break;
                }
                None => break,
            }
        }
        assert_eq!(
            (received.as_str(), error.is_none()),
            (expected, whole),
            "{cut}"
        );
        assert!(error.is_none_or(|error| find::<ProbeError>(&*error).is_some()));
    }
}

#[tokio::test]
async fn trailers_are_more_than_the_bytes_that_were_allowed() {
    for (cut, whole) in [(5, false), (u64::MAX, false)] {
        let (mut service, handle, faults) = faulty();
        let (body, frames) = ControlledBody::new();
        handle.push(bartizan_testing::Step::respond(Response::new(Body::new(
            body,
        ))));
        frames.data("");
        frames.data("hel");
        frames.data("lo");
        frames.trailers(HeaderMap::new());
        faults.push(Fault::cut_body(cut));
        let body = call(&mut service).await.unwrap().into_body();
        assert_eq!(body.collect().await.is_ok(), whole, "{cut}");
    }
}

#[tokio::test]
async fn clones_and_other_services_of_the_layer_share_the_script() {
    let (service, _handle, faults) = faulty();
    faults.clone().push(Fault::before(ProbeError::default()));
    let (probe, _other) = Probe::new(|(): &()| Response::new(Body::empty()));
    assert!(call(&mut faults.layer(probe)).await.is_err());
    assert!(call(&mut service.clone()).await.is_ok());
}
