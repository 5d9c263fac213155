//! Endpoints that are busy, fail, or go.

use super::*;

// The hole: tower's balancer, and those after it, call what was ready when it was asked, whatever has become of it.
#[tokio::test(start_paused = true)]
async fn an_endpoint_removed_since_it_was_ready_is_never_called() {
    let targets = targets();
    let (service, list) = over(RoundRobin::new(), &targets);
    let mut one = service.clone();
    one.ready().await.expect("ready");
    assert!(list.remove("a") && !list.remove("a"));
    assert_eq!(one.call(1).await.expect("an answer"), "c");

    // Replaced is removed, too.
    let mut one = service.clone();
    one.ready().await.expect("ready");
    let (new, new_handle) = Probe::new(|_: &u32| "new");
    for name in ["b", "c"] {
        list.insert(Endpoint::new(name), new.clone());
    }
    assert_eq!(one.call(1).await.expect("an answer"), "new");
    assert_eq!(calls(&targets), [0, 0, 1]);
    assert_eq!(new_handle.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_removed_while_it_is_waited_for_is_never_called() {
    let targets = targets();
    let (service, list) = over(RoundRobin::new(), &targets);
    for target in &targets {
        target.1.hold_ready();
    }
    let mut one = service.clone();
    assert!(one.ready().now_or_never().is_none());
    list.remove("a");
    for target in &targets[..2] {
        target.1.make_ready();
    }
    assert_eq!(
        one.ready().await.expect("ready").call(1).await.unwrap(),
        "b"
    );
    assert_eq!(calls(&targets), [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_endpoint_is_passed_over_and_all_busy_are_waited_for() {
    let targets = targets();
    let (service, list) = over(RoundRobin::new(), &targets);
    targets[0].1.hold_ready();
    targets[1].1.hold_ready();
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "c");

    targets[2].1.hold_ready();
    let waiting = tokio::spawn(service.clone().oneshot(2));
    tokio::task::yield_now().await;
    targets[1].1.make_ready();
    assert_eq!(waiting.await.expect("no panic").expect("an answer"), "b");

    // A new one ends the waiting as well.
    targets[1].1.hold_ready();
    let waiting = tokio::spawn(service.clone().oneshot(3));
    tokio::task::yield_now().await;
    let (new, _handle) = Probe::new(|_: &u32| "new");
    list.insert(Endpoint::new("new"), new);
    assert_eq!(waiting.await.expect("no panic").expect("an answer"), "new");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_readiness_fails_is_passed_over_and_asked_again_later() {
    let targets = targets();
    let (service, _) = over(RoundRobin::new(), &targets);
    targets[0].1.fail_ready(ProbeError::new("closed"));
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "b");
    targets[0].1.make_ready();
    service.clone().oneshot(1).await.expect("an answer");
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "a");

    for target in &targets {
        target.1.fail_ready(ProbeError::new("closed"));
    }
    let mut one = service.clone();
    let error = one.ready().await.expect("never fails").call(1).await;
    let error = error.expect_err("nobody to ask");
    let none = find::<NoEndpoint>(&*error).expect("the reason");
    assert!(none.is_failed() && !none.is_unfit() && !none.is_empty());
    assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_unsent));
    assert_eq!(find(&*error), Some(&ProbeError::new("closed")));
    // That was that call. The instance goes on.
    targets[2].1.make_ready();
    assert_eq!(one.ready().await.unwrap().call(1).await.unwrap(), "c");
}

/// One place, reserved by whoever is ready.
struct Limited(Arc<Semaphore>, Option<OwnedSemaphorePermit>);

impl Clone for Limited {
    fn clone(&self) -> Self {
        Self(self.0.clone(), None)
    }
}

impl Service<()> for Limited {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.1.is_none() {
            self.1 = self.0.clone().try_acquire_owned().ok();
        }
        // Nobody waits here, so nobody needs to be woken.
        self.1
            .as_ref()
            .map_or(Poll::Pending, |_| Poll::Ready(Ok(())))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.1 = None;
        ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_that_is_dropped_gives_back_every_permit() {
    let limited = || Limited(Arc::new(Semaphore::new(1)), None);
    let service = Balance::builder()
        .endpoint(Endpoint::new("a"), limited())
        .endpoint(Endpoint::new("b"), limited())
        .build()
        .expect("two");
    let (mut one, mut two, mut three) = (service.clone(), service.clone(), service.clone());
    let ready = |service: &mut Balance<_>| {
        let mut cx = Context::from_waker(Waker::noop());
        Service::<()>::poll_ready(service, &mut cx).is_ready()
    };
    // One permit each, and not one of each endpoint each: instances do not hoard.
    assert!(ready(&mut one) && ready(&mut two) && !ready(&mut three));
    drop(one);
    assert!(ready(&mut three));
}
