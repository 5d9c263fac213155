#[cfg(feature = "http")]
mod http;

use std::{
    error::Error,
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, Rejection, RejectionKind, find};
use bartizan_resilience::coalesce::{Coalesce, CoalesceLayer, SharedError};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use futures_util::future::join_all;
use tokio::{task::JoinHandle, time::timeout};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};

contract! {
    mod laws {
        layer: |probe| CoalesceLayer::new(|(): &()| Some(())).layer(probe),
        request: || (),
        response: || (),
    }

    /// Where nobody shares anything.
    mod laws_without_keys {
        layer: |probe| CoalesceLayer::new(|(): &()| None::<()>).layer(probe),
        request: || (),
        response: || (),
    }
}

type Key = fn(&u32) -> Option<u32>;

type Service1 = Coalesce<Probe<u32, u32>, Key, u32, u32>;

/// A service that answers its `n`th call with `n`, when it is told to.
fn coalescing() -> (Service1, ProbeHandle<u32, u32>) {
    let (probe, handle) = Probe::new(|_: &u32| 0);
    let calls = AtomicU32::new(0);
    handle
        .by_default(move |_| Step::respond(calls.fetch_add(1, Ordering::Relaxed)).when_released());
    let key: Key = |&key| Some(key);
    (CoalesceLayer::new(key).layer(probe), handle)
}

type Task<T> = JoinHandle<Result<T, BoxError>>;

/// A call that has been polled.
async fn call<S, Req>(service: &S, request: Req) -> Task<S::Response>
where
    S: Service<Req, Error = BoxError, Future: Send, Response: Send> + Clone + Send + Sync + 'static,
    Req: Send + 'static,
{
    let task = tokio::spawn(service.clone().oneshot(request));
    tokio::task::yield_now().await;
    task
}

/// What `future` comes to. Time is paused, so one that never ends fails at once.
async fn within_an_hour<F: Future>(future: F) -> F::Output {
    let output = timeout(Duration::from_secs(3600), future).await;
    output.expect("it ends")
}

async fn ended<T>(task: Task<T>) -> Result<T, BoxError> {
    within_an_hour(task).await.expect("no panic")
}

#[tokio::test(start_paused = true)]
async fn calls_with_one_key_are_one_call_and_those_after_the_answer_another() {
    let (service, probe) = coalescing();
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(call(&service, 7).await);
    }
    let other = call(&service, 8).await;
    assert_eq!((probe.counts().calls, service.keys_in_flight()), (2, 2));
    probe.release();
    for task in tasks {
        assert_eq!(ended(task).await.expect("an answer"), 0);
    }
    assert_eq!(ended(other).await.expect("an answer"), 1);
    assert_eq!(service.keys_in_flight(), 0);

    let later = call(&service, 7).await;
    probe.release();
    assert_eq!(ended(later).await.expect("an answer"), 2);
}

/// The hole in today's crates: there, all who wait fail.
#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_does_not_fail_those_who_wait() {
    let (service, probe) = coalescing();
    let leader = call(&service, 7).await;
    let waiters = [
        call(&service, 7).await,
        call(&service, 7).await,
        call(&service, 7).await,
    ];
    leader.abort();
    assert!(leader.await.is_err());
    let seen = within_an_hour(probe.until(|counts| counts.calls == 2)).await;
    assert_eq!((seen.in_flight, seen.cancelled), (1, 1));
    probe.release();
    for waiter in waiters {
        // The second call's answer, which one of them made.
        assert_eq!(ended(waiter).await.expect("an answer"), 1);
    }
    assert_eq!(probe.take_requests(), [7, 7]);
    assert_eq!(service.keys_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_may_be_followed_by_many_and_by_none() {
    let (service, probe) = coalescing();
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(call(&service, 7).await);
    }
    for (dropped, task) in tasks.into_iter().enumerate() {
        assert_eq!(probe.counts().calls, dropped + 1);
        task.abort();
        let _ = task.await;
        tokio::task::yield_now().await;
    }
    let seen = probe.counts();
    assert_eq!((seen.calls, seen.in_flight, seen.cancelled), (5, 0, 5));
    assert_eq!(service.keys_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_never_polled_hands_over_too() {
    let (mut service, probe) = coalescing();
    let leader = service.ready().await.expect("ready").call(7);
    let waiter = call(&service, 7).await;
    assert_eq!(probe.counts().calls, 0, "the leader is asleep");
    drop(leader);
    within_an_hour(probe.until(|counts| counts.calls == 1)).await;
    probe.release();
    assert_eq!(ended(waiter).await.expect("an answer"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_panics_hands_over() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let service = CoalesceLayer::new(|&key: &u32| Some(key)).layer(service_fn(move |_: u32| {
        let call = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(call > 0, "the first call panics");
            Ok::<_, BoxError>(call)
        }
    }));
    let leader = call(&service, 7).await;
    let waiter = call(&service, 7).await;
    assert!(leader.await.is_err_and(|error| error.is_panic()));
    assert_eq!(ended(waiter).await.expect("an answer"), 1);
    assert_eq!(service.keys_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_not_polled_while_there_is_nothing_to_do() {
    let (service, probe) = coalescing();
    let _leader = call(&service, 7).await;
    let mut polls = 0;
    let mut waiting = pin!(service.oneshot(7));
    let waiter = std::future::poll_fn(|cx| {
        polls += 1;
        waiting.as_mut().poll(cx)
    });
    assert!(timeout(Duration::from_secs(3600), waiter).await.is_err());
    // One by itself, and one when the timeout looks a last time.
    assert!(polls <= 2, "{polls}");
    assert_eq!(probe.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_not_clone_is_shared_and_found_by_all() {
    /// As those of reqwest, hyper and tonic.
    #[derive(Debug)]
    struct Unclonable;
    impl fmt::Display for Unclonable {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("unclonable")
        }
    }
    impl Error for Unclonable {}

    let failing = service_fn(|(): ()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err::<(), _>(Unclonable)
    });
    let layer = CoalesceLayer::new(|(): &()| Some(())).box_errors();
    let service = layer.layer(failing);
    let calls = join_all((0..3).map(|_| service.clone().oneshot(()))).await;
    for result in calls {
        let error = result.expect_err("all fail");
        assert!(find::<Unclonable>(&*error).is_some());
        assert!(find::<SharedError>(&*error).is_some());
        let rejection = find::<Rejection>(&*error).expect("a rejection");
        assert_eq!(
            (rejection.kind(), rejection.layer()),
            (RejectionKind::Exhausted, "coalesce")
        );
    }
    // Alone, it is nobody else's.
    let error = service.oneshot(()).await.expect_err("it fails");
    assert!(error.is::<Unclonable>());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_keeps_its_kind_and_its_delay_when_it_is_shared() {
    let (service, probe) = coalescing();
    let delay = Duration::from_secs(3);
    let open = Rejection::new(RejectionKind::Open, "circuit breaker").with_retry_after(delay);
    probe.push(Step::fail(open).when_released());
    let tasks = [call(&service, 7).await, call(&service, 7).await];
    probe.release();
    for task in tasks {
        let error = ended(task).await.expect_err("the circuit is open");
        let rejection = find::<Rejection>(&*error).expect("a rejection");
        assert!(rejection.is_unsent());
        assert_eq!(rejection.retry_after(), Some(delay));
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_that_fails_is_an_error_for_all() {
    let (service, probe) = coalescing();
    probe.hold_ready();
    let tasks = [call(&service, 7).await, call(&service, 7).await];
    probe.fail_ready(ProbeError::new("closed"));
    for task in tasks {
        let error = ended(task).await.expect_err("closed");
        assert_eq!(find(&*error), Some(&ProbeError::new("closed")));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_takes_no_place_of_a_limit_below() {
    let (probe, handle) = Probe::new(|_: &u32| 7);
    handle.by_default(|_| Step::respond(7).when_released());
    let service = CoalesceLayer::new(|&key: &u32| Some(key)).layer(ConcurrencyLimit::new(probe, 2));
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(call(&service, 1).await);
    }
    // The second place is still free.
    tasks.push(call(&service, 2).await);
    assert_eq!(handle.counts().in_flight, 2);
    handle.release();
    for task in tasks {
        assert_eq!(ended(task).await.expect("an answer"), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_most_keys_calls_are_made_as_if_it_were_not_there() {
    let (probe, handle) = Probe::new(|_: &u32| 7);
    handle.by_default(|_| Step::respond(7).when_released());
    let layer = CoalesceLayer::new(|&key: &u32| Some(key))
        .try_max_keys(1)
        .expect("valid");
    let service = layer.layer(probe);
    let first = call(&service, 1).await;
    let others = [call(&service, 2).await, call(&service, 2).await];
    assert_eq!(
        (handle.counts().in_flight, service.keys_in_flight()),
        (3, 1)
    );
    handle.release();
    for task in others.into_iter().chain([first]) {
        assert_eq!(ended(task).await.expect("an answer"), 7);
    }
    let refused = CoalesceLayer::<_, u32, u32>::new(|&key: &u32| Some(key)).try_max_keys(0);
    assert_eq!(refused.expect_err("refused").field(), "max_keys");
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_are_different_peers() {
    let layer = CoalesceLayer::new(|&key: &u32| Some(key));
    let [a, b] = ["a", "b"].map(|name| {
        let (probe, handle) = Probe::new(move |_: &u32| name);
        handle.by_default(move |_| Step::respond(name).after(Duration::from_secs(1)));
        layer.layer(probe)
    });
    let (a, b) = tokio::join!(a.oneshot(1), b.oneshot(1));
    assert_eq!((a.expect("an answer"), b.expect("an answer")), ("a", "b"));
}

#[tokio::test]
async fn a_leader_that_nobody_waits_for_allocates_nothing() {
    let bare = service_fn(|n: u32| std::future::ready(Ok::<_, BoxError>(n)));
    let mut service = CoalesceLayer::new(|&key: &u32| Some(key)).layer(bare);
    let mut cx = Context::from_waker(Waker::noop());
    let mut calls = || {
        for key in 0..500 {
            assert!(Service::<u32>::poll_ready(&mut service, &mut cx).is_ready());
            let answered = pin!(service.clone().call(key)).poll(&mut cx);
            assert!(matches!(answered, Poll::Ready(Ok(_))));
        }
    };
    // The first call of a table makes room for all that follow.
    calls();
    assert_eq!(allocations(calls).1, 0);
}

/// Many tasks on many threads, dropped at any moment: nobody waits for ever, and nothing is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_fire_everybody_gets_an_answer() {
    let inner = service_fn(|key: u32| async move {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        Ok::<_, BoxError>(key)
    });
    let service = CoalesceLayer::new(|&key: &u32| Some(key)).layer(inner);
    let mut tasks = Vec::new();
    for n in 0..4000_u32 {
        let call = service.clone().oneshot(n % 3);
        tasks.push((n, tokio::spawn(call)));
        if n % 2 == 0 {
            tasks.last().expect("one").1.abort();
        }
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let all = join_all(
        tasks
            .into_iter()
            .map(|(n, task)| async move { (n, task.await) }),
    );
    let all = timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody is forgotten");
    for (n, result) in all {
        if n % 2 == 1 {
            assert_eq!(result.expect("not aborted").expect("an answer"), n % 3);
        }
    }
    assert_eq!(service.keys_in_flight(), 0);
}
