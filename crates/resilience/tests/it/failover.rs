//! Failover between services.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, Rejection, find};
use bartizan_resilience::failover::{Attempt, Exhausted, Failover, OnError};
use bartizan_testing::{Probe, ProbeError, ProbeFuture, ProbeHandle, Step, contract};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn, util::BoxCloneService};

contract! {
    mod laws {
        layer: |probe| Failover::builder(OnError)
            .target("a", probe.clone())
            .target("b", probe)
            .build()
            .expect("two targets"),
        request: || (),
        response: || (),
    }
}

type Target = (Probe<u32, &'static str>, ProbeHandle<u32, &'static str>);

/// Targets that answer with their names.
fn targets() -> [Target; 3] {
    ["a", "b", "c"].map(|name| Probe::new(move |_| name))
}

fn failover(targets: &[Target; 3]) -> Failover<Probe<u32, &'static str>, OnError> {
    let [a, b, c] = targets;
    Failover::builder(OnError)
        .target("a", a.0.clone())
        .target("b", b.0.clone())
        .target("c", c.0.clone())
        .interval(Duration::from_millis(100))
        .build()
        .expect("three targets")
}

fn calls(targets: &[Target; 3]) -> [usize; 3] {
    [0, 1, 2].map(|i| targets[i].1.counts().calls)
}

#[tokio::test(start_paused = true)]
async fn the_first_answers_and_nobody_else_is_asked() {
    let targets = targets();
    let service = failover(&targets);
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "a");
    assert_eq!(calls(&targets), [1, 0, 0]);
    assert_eq!(service.handle().current(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_until_one_answers_sticks_to_it_and_wraps_round() {
    let targets = targets();
    let service = failover(&targets);
    let handle = service.handle();
    for target in &targets[..2] {
        target.1.by_default(|_| Step::fail(ProbeError::new("down")));
    }
    let started = Instant::now();
    assert_eq!(service.clone().oneshot(7).await.expect("an answer"), "c");
    assert_eq!(
        started.elapsed(),
        Duration::from_millis(200),
        "an interval before each further target"
    );
    assert_eq!((handle.current(), handle.name()), (2, "c"));
    assert_eq!(handle.names().collect::<Vec<_>>(), ["a", "b", "c"]);

    assert_eq!(service.clone().oneshot(8).await.expect("an answer"), "c");
    assert_eq!(calls(&targets), [1, 1, 2]);

    targets[2].1.push(Step::fail(ProbeError::new("down")));
    targets[0].1.by_default(|_| Step::respond("a again"));
    assert_eq!(service.oneshot(9).await.expect("an answer"), "a again");
    assert_eq!(handle.current(), 0);
    // Every target got the request as it was.
    assert_eq!(targets[1].1.take_requests(), [7]);
    assert_eq!(targets[2].1.take_requests(), [7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn when_none_answers_the_error_says_what_each_did() {
    let targets = targets();
    for (i, target) in targets.iter().enumerate() {
        target.1.by_default(move |_| {
            Step::fail(ProbeError::new(format!("no {i}"))).after(Duration::from_secs(i as u64))
        });
    }
    let service = failover(&targets);
    let error = service.clone().oneshot(1).await.expect_err("no answer");
    assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_exhausted));
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    assert!(!exhausted.is_unreplayable());
    assert_eq!(
        exhausted.to_string(),
        "no target answered (target 0 (a): no 0, at once; target 1 (b): no 1, after 1.0s; \
         target 2 (c): no 2, after 2.0s)"
    );
    let attempts = exhausted.report().attempts();
    assert_eq!(
        attempts.iter().map(Attempt::target).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.error().is_some() && !attempt.is_answer())
    );
    // The chain goes on with the last.
    assert_eq!(find::<ProbeError>(&*error), Some(&ProbeError::new("no 2")));
    assert_eq!(service.handle().current(), 0, "nothing was learned");
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_readiness_fails_has_failed() {
    let targets = targets();
    targets[0].1.fail_ready(ProbeError::new("closed"));
    targets[1].1.fail_ready(ProbeError::new("closed"));
    let mut service = failover(&targets);
    assert_eq!(
        service
            .ready()
            .await
            .expect("others are left")
            .call(1)
            .await
            .expect("an answer"),
        "c"
    );
    assert_eq!(calls(&targets), [0, 0, 1]);

    targets[2].1.fail_ready(ProbeError::new("closed"));
    let error = service.oneshot(2).await.expect_err("no answer");
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    assert_eq!(exhausted.report().attempts().len(), 3);
    assert_eq!(
        find::<ProbeError>(&*error),
        Some(&ProbeError::new("closed"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_single_target_whose_readiness_fails_is_the_end() {
    let (probe, handle) = Probe::new(|_: &u32| "a");
    handle.fail_ready(ProbeError::new("closed"));
    let service = Failover::builder(OnError)
        .target("a", probe)
        .build()
        .expect("one target");
    let error = service.oneshot(1).await.expect_err("no answer");
    let exhausted = find::<Exhausted>(&*error).expect("what it did");
    assert!(!exhausted.is_unreplayable());
    assert_eq!(
        exhausted.to_string(),
        "no target answered (target 0 (a): closed, at once)"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_waits_for_one_target_turns_to_the_one_that_became_current() {
    let targets = targets();
    let service = failover(&targets);
    targets[0].1.hold_ready();
    let mut waiting = service.clone();
    assert!(
        tokio::time::timeout(Duration::from_secs(1), waiting.ready())
            .await
            .is_err()
    );

    // Meanwhile another instance, made ready before, finds that `a` is down.
    targets[0].1.make_ready();
    targets[0].1.push(Step::fail(ProbeError::new("down")));
    assert_eq!(service.oneshot(1).await.expect("an answer"), "b");
    targets[0].1.hold_ready();
    assert_eq!(waiting.oneshot(2).await.expect("an answer"), "b");
}

#[tokio::test(start_paused = true)]
async fn what_was_made_ready_is_what_is_called() {
    let targets = targets();
    let service = failover(&targets);
    let mut ready = service.clone();
    ready.ready().await.expect("ready");
    targets[0].1.push(Step::fail(ProbeError::new("down")));
    service.clone().oneshot(1).await.expect("an answer");
    assert_eq!(service.handle().name(), "b");
    // It holds a place at `a`, and uses it.
    assert_eq!(ready.call(2).await.expect("an answer"), "a");
    assert_eq!(
        service.handle().name(),
        "b",
        "an answer where it began moves nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_look_at_readiness_keeps_what_was_reserved_though_the_current_target_moved() {
    let targets = targets();
    let service = failover(&targets);
    let mut ready = service.clone();
    ready.ready().await.expect("ready");
    targets[0].1.push(Step::fail(ProbeError::new("down")));
    service.clone().oneshot(1).await.expect("an answer");
    assert_eq!(service.handle().name(), "b");

    // Nobody else would get a place at `a` now; the one that was made is still there.
    targets[0].1.hold_ready();
    let (instances, polls) = (targets[0].1.counts().clones, targets[1].1.counts().polls);
    ready.ready().await.expect("still ready");
    assert_eq!(targets[0].1.counts().clones, instances);
    assert_eq!(targets[1].1.counts().polls, polls, "nothing is asked of b");
    assert_eq!(ready.call(2).await.expect("an answer"), "a");
}

/// A service that may not be used again after its readiness failed, as most may not.
struct Spent {
    inner: Probe<u32, &'static str>,
    failed: bool,
}

impl Clone for Spent {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            failed: false,
        }
    }
}

impl Service<u32> for Spent {
    type Response = &'static str;
    type Error = BoxError;
    type Future = ProbeFuture<u32, &'static str>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.failed, "polled after its readiness failed");
        let result = ready!(self.inner.poll_ready(cx));
        self.failed = result.is_err();
        Poll::Ready(result)
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(!self.failed, "called after its readiness failed");
        self.inner.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_not_used_again_after_its_readiness_failed() {
    let targets = targets();
    let mut builder = Failover::builder(OnError);
    for (probe, _) in &targets {
        let inner = probe.clone();
        builder = builder.target(
            "spent",
            Spent {
                inner,
                failed: false,
            },
        );
    }
    let mut service = builder.build().expect("three targets");
    for _ in 0..2 {
        // The first fails where readiness is asked for before the call, the second within it.
        targets[0].1.fail_ready(ProbeError::new("closed"));
        targets[1].1.fail_ready(ProbeError::new("closed"));
        targets[2]
            .1
            .push(Step::fail(ProbeError::new("down as well")));
        service.ready().await.expect("others are left");
        // A look at readiness that failed does not ask again.
        service.ready().await.expect("others are left");
        service.call(1).await.expect_err("nobody answers");
        assert_eq!(service.handle().current(), 0);
    }

    targets[0].1.make_ready();
    let answer = service.ready().await.expect("ready").call(2).await;
    assert_eq!(answer.expect("an instance of its own"), "a");
}

/// Counts how often it was copied, and knows whether it is a copy.
struct Counted {
    copies: Arc<AtomicUsize>,
    is_copy: bool,
}

impl Counted {
    fn new() -> Self {
        Self {
            copies: Arc::default(),
            is_copy: false,
        }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.copies.fetch_add(1, Ordering::Relaxed);
        Self {
            copies: Arc::clone(&self.copies),
            is_copy: true,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_target_gets_the_request_itself_and_nothing_is_copied_for_nobody_after_the_last()
{
    let over = |targets: &[Probe<Counted, ()>]| {
        let builder = Failover::builder(OnError);
        let add = |builder: bartizan_resilience::failover::FailoverBuilder<_, _>,
                   probe: &Probe<_, _>| builder.target("a", probe.clone());
        targets.iter().fold(builder, add).build().expect("targets")
    };

    // One target is the last at once.
    let (only, handle) = Probe::new(|_: &Counted| ());
    over(&[only])
        .oneshot(Counted::new())
        .await
        .expect("an answer");
    let got = handle.take_requests();
    assert!(!got[0].is_copy);
    assert_eq!(got[0].copies.load(Ordering::Relaxed), 0);

    let targets = [(); 3].map(|()| Probe::new(|_: &Counted| ()));
    for (_, handle) in &targets {
        handle.by_default(|_| Step::fail(ProbeError::new("down")));
    }
    let request = Counted::new();
    let copies = Arc::clone(&request.copies);
    over(&targets.each_ref().map(|(probe, _)| probe.clone()))
        .oneshot(request)
        .await
        .expect_err("nobody answers");
    let are_copies = targets
        .each_ref()
        .map(|(_, handle)| handle.take_requests()[0].is_copy);
    assert_eq!(are_copies, [false, true, true]);
    assert_eq!(copies.load(Ordering::Relaxed), 2, "one fewer than targets");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_moves_nothing_and_asks_nobody_else() {
    let targets = targets();
    targets[0].1.by_default(|_| Step::pending());
    let service = failover(&targets);
    let call = service.clone().oneshot(1);
    assert!(
        tokio::time::timeout(Duration::from_secs(9), call)
            .await
            .is_err()
    );
    assert_eq!(targets[0].1.counts().cancelled, 1);
    assert_eq!(calls(&targets), [1, 0, 0]);
    assert_eq!(service.handle().current(), 0);
}

#[tokio::test]
async fn a_target_need_not_be_sync() {
    let target = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
    let failover = Failover::builder(OnError)
        .target("a", BoxCloneService::new(target))
        .build()
        .expect("one target");
    // A future that cannot be spawned would not compile.
    let call = tokio::spawn(failover.oneshot(1));
    assert_eq!(call.await.expect("no panic").expect("an answer"), 1);
}
