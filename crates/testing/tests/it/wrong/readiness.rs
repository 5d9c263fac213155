//! Calls on an instance that is not ready.

use std::task::Poll;

use tower_service::Service;

use super::{breaks, call, ready, wrong};

#[test]
fn calls_a_fresh_clone() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| Box::pin(inner.clone().call(())),
        ),
        readiness_is_honoured,
        "the probe was called on an instance that was not ready"
    );
}

#[test]
fn is_ready_without_asking() {
    breaks!(
        wrong(|probe| probe, |_, _| Poll::Ready(Ok(())), call),
        readiness_is_honoured,
        "the probe was called on an instance that was not ready"
    );
}

#[test]
fn swallows_that_the_inner_service_is_not_ready() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, cx| {
                let _ = inner.poll_ready(cx);
                Poll::Ready(Ok(()))
            },
            call,
        ),
        a_pending_inner_service_is_waited_for,
        "the probe was called on an instance that was not ready",
        keeps a_good_call_gets_through readiness_is_honoured clones_start_unready unused_readiness_is_given_back
    );
}

#[test]
fn answers_while_the_inner_service_is_not_ready() {
    breaks!(
        wrong(
            |probe| (probe, false),
            |(inner, ready), cx| {
                *ready = inner.poll_ready(cx)?.is_ready();
                Poll::Ready(Ok(()))
            },
            |(inner, ready)| {
                if *ready { call(inner) } else { Box::pin(async { Ok(()) }) }
            },
        ),
        a_pending_inner_service_is_waited_for,
        "it answered while the inner service was not ready",
        keeps a_good_call_gets_through readiness_is_honoured clones_start_unready
    );
}
