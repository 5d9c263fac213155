#[cfg(feature = "http")]
mod http;

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, Outcome};
use bartizan_resilience::fallback::{Failed, Fallback, FallbackLayer, OnError, Value};
use bartizan_testing::{
    Probe, ProbeError, ProbeHandle, Step, allocations, contract,
    laws::{self, subject},
};
use tower::{Layer, Service, ServiceExt, service_fn};

contract! {
    /// Nothing is replaced for good, so that errors keep their sources.
    mod laws_with_a_function {
        layer: |probe| FallbackLayer::function(|failed: Failed<(), BoxError>| failed.into_result()).layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_with_another_service {
        layer: |probe| FallbackLayer::service(probe.clone()).layer(probe),
        request: || (),
        response: || (),
    }
}

/// All laws but the one by which an error reaches the caller: that it does not is what a value is for.
#[test]
fn laws_with_a_value() {
    let subject = subject(|| (), || (), |probe| FallbackLayer::value(()).layer(probe));
    laws::a_good_call_gets_through(&subject);
    laws::readiness_is_honoured(&subject);
    laws::a_pending_inner_service_is_waited_for(&subject);
    laws::it_never_wakes_itself(&subject);
    laws::clones_start_unready(&subject);
    laws::unused_readiness_is_given_back(&subject);
    laws::dropped_futures_leak_nothing(&subject);
    laws::calls_outlive_their_service(&subject);
}

fn probe() -> (Probe<(), String>, ProbeHandle<(), String>) {
    Probe::new(|()| "answer".to_owned())
}

#[tokio::test]
async fn an_answer_is_left_alone_and_an_error_replaced_by_the_value() {
    let (probe, handle) = probe();
    let service: Fallback<_, Value<String>, OnError> =
        FallbackLayer::value("stale".to_owned()).layer(probe);
    handle.push(Step::respond("fresh".to_owned()));
    handle.push(Step::fail(ProbeError::new("down")));
    assert_eq!(
        service.clone().oneshot(()).await.expect("an answer"),
        "fresh"
    );
    assert_eq!(service.oneshot(()).await.expect("a value"), "stale");
}

#[tokio::test]
async fn a_function_sees_what_failed_and_may_fail_otherwise() {
    let (probe, handle) = probe();
    handle.push(Step::fail(ProbeError::new("down")));
    handle.push(Step::fail(ProbeError::new("gone for good")));
    let layer = FallbackLayer::function(|failed: Failed<String, BoxError>| {
        assert_eq!(failed.outcome(), Outcome::Failure);
        match failed.error().map(ToString::to_string).as_deref() {
            Some("down") => Ok("be right back".to_owned()),
            _ => Err("no such thing".into()),
        }
    });
    let service = layer.layer(probe);
    assert_eq!(
        service.clone().oneshot(()).await.expect("a value"),
        "be right back"
    );
    let error = service.oneshot(()).await.expect_err("another error");
    assert_eq!(error.to_string(), "no such thing");
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_function_is_waited_for_and_dropped_with_the_call() {
    let (probe, handle) = probe();
    handle.by_default(|()| Step::fail("down"));
    let (backup, backup_handle) = Probe::new(|_: &String| "from the backup".to_owned());
    backup_handle.push(Step::respond("from the backup".to_owned()).after(Duration::from_secs(1)));
    backup_handle.push(Step::pending());
    let layer = FallbackLayer::async_function(move |failed: Failed<String, BoxError>| {
        let reason = failed.error().map(ToString::to_string).unwrap_or_default();
        backup.clone().oneshot(reason)
    });
    let service = layer.layer(probe);
    assert_eq!(
        service.clone().oneshot(()).await.expect("a value"),
        "from the backup"
    );
    assert_eq!(backup_handle.take_requests(), ["down"]);

    let call = tokio::time::timeout(Duration::from_secs(60), service.oneshot(()));
    assert!(call.await.is_err());
    assert_eq!(backup_handle.counts().cancelled, 1);
}

#[tokio::test]
async fn which_results_are_replaced_is_what_the_classification_says() {
    let classify = |result: Result<&String, &BoxError>| match result {
        Ok(answer) => match answer.as_str() {
            "failure" => Outcome::Failure,
            "throttled" => Outcome::Throttled { retry_after: None },
            "ignored" => Outcome::Ignored,
            _ => Outcome::Success,
        },
        Err(error) => match error.to_string().as_str() {
            "fine" => Outcome::Success,
            _ => Outcome::Ignored,
        },
    };
    let (probe, handle) = probe();
    let layer = FallbackLayer::value("replaced".to_owned()).classify(classify);
    let service = layer.layer(probe);
    for (step, expected) in [
        (Step::respond("good".to_owned()), Ok("good")),
        (Step::respond("ignored".to_owned()), Ok("ignored")),
        (Step::respond("failure".to_owned()), Ok("replaced")),
        (Step::respond("throttled".to_owned()), Ok("replaced")),
        // An error that says nothing about the peer is no answer either.
        (Step::fail("a mistake"), Ok("replaced")),
        (Step::fail("fine"), Err("fine")),
    ] {
        handle.push(step);
        let result = service
            .clone()
            .oneshot(())
            .await
            .map_err(|error| error.to_string());
        assert_eq!(result.as_deref().map_err(String::as_str), expected);
    }
}

#[tokio::test]
async fn a_call_over_a_service_that_answers_allocates_nothing() {
    let bare = service_fn(|n: ()| std::future::ready(Ok::<_, BoxError>(n)));
    let mut service = FallbackLayer::service(bare).layer(bare);
    let mut cx = Context::from_waker(Waker::noop());
    let ((), count) = allocations(|| {
        for _ in 0..500 {
            assert!(Service::<()>::poll_ready(&mut service, &mut cx).is_ready());
            let answered = pin!(service.clone().call(())).poll(&mut cx);
            assert!(matches!(answered, Poll::Ready(Ok(_))));
        }
    });
    assert_eq!(count, 0);
}
