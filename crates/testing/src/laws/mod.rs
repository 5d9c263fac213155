//! The laws that every layer obeys, whatever it is for.
//!
//! hyper's glue clones a stack for every request, polls it from any task, and drops any future at any await point. A layer that is
//! wrong there works in every simple test and leaks, hangs or spins under load. These laws put a [`Probe`](crate::Probe) below a layer and
//! do to it what a server does.
//!
//! [`contract!`](crate::contract) writes one test per law, and is what a layer's crate uses. The laws are functions as well, so
//! that a layer that is exempt from one can still be held to the others: a layer that sheds load must not wait for an inner service
//! that is not ready, so [`a_pending_inner_service_is_waited_for`] is not for it.
//!
//! Each law panics with its own name and what was seen. It runs on a current-thread runtime of its own whose time is paused, so it
//! cannot be called within another runtime, and no backoff or time limit takes real time.
//!
//! # Limits
//!
//! Laws see a leak of places only when the last place is gone: give a limit of 1, or at most a handful. They make some forty good
//! calls in a row, so a layer that counts calls over time should allow as many, or let callers wait.
//!
//! # Examples
//!
//! ```
//! use bartizan_testing::{Probe, laws::{self, subject}};
//!
//! // The simplest layer there is.
//! let subject = subject(|| "request", || "response", |probe: Probe<_, _>| probe);
//! laws::readiness_is_honoured(&subject);
//! laws::dropped_futures_leak_nothing(&subject);
//! ```
//!
//! A service that calls a clone which is not the one it made ready:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_testing::{Probe, ProbeFuture, laws::{self, subject}};
//! use std::task::{Context, Poll};
//! use tower_service::Service;
//!
//! #[derive(Clone)]
//! struct Wrong(Probe<(), ()>);
//!
//! impl Service<()> for Wrong {
//!     type Response = ();
//!     type Error = BoxError;
//!     type Future = ProbeFuture<(), ()>;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
//!         self.0.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, request: ()) -> Self::Future {
//!         self.0.clone().call(request)
//!     }
//! }
//!
//! let subject = subject(|| (), || (), Wrong);
//! let broken = std::panic::catch_unwind(|| laws::readiness_is_honoured(&subject)).unwrap_err();
//! let message = broken.downcast_ref::<String>().unwrap();
//! assert!(message.starts_with("the law `readiness_is_honoured` is broken: the probe was called"));
//! ```

#![expect(
    clippy::future_not_send,
    reason = "a law runs on one thread, and asks of its subject only what a layer has to be"
)]
#![expect(
    clippy::missing_panics_doc,
    reason = "to panic is what a law is for, and the module says so"
)]

mod caller;
mod subject;

use std::time::Duration;

use bartizan_core::{BoxError, find};

use self::caller::{Rig, run, settle};
pub use self::subject::{Subject, subject};
use crate::{ProbeError, Step, error::chain};

/// How often a law polls what it expects to be pending.
const POLLS: usize = 4;

/// A good call gets through to the inner service, and its response back.
///
/// That the service is `Clone`, and it and its futures are `Send`, is a bound of [`Subject`]: a layer that breaks it does not
/// compile here.
#[track_caller]
pub fn a_good_call_gets_through<S: Subject>(subject: &S) {
    run("a_good_call_gets_through", async {
        let rig = Rig::new(subject);
        rig.caller().expect_answer("to a good call").await;
        assert!(
            rig.handle.counts().calls > 0,
            "it answered without calling the inner service"
        );
    });
}

/// The inner service is called only after its own `poll_ready` said that it is ready, on the very instance that said so.
///
/// The [`Probe`](crate::Probe) enforces it. The law calls after one `poll_ready`, after several, several times in a row, and on a clone.
#[track_caller]
pub fn readiness_is_honoured<S: Subject>(subject: &S) {
    run("readiness_is_honoured", async {
        let rig = Rig::new(subject);
        let mut caller = rig.caller();
        for polls in [1, 3, 1] {
            for _ in 0..polls {
                caller.expect_ready("for a good call").await;
            }
            caller.expect_answer("to one of several calls").await;
        }
        caller.another().expect_answer("on a clone").await;
    });
}

/// While the inner service is not ready, or has not answered, the layer is pending, in `poll_ready` or in its future, and lets no
/// call through. The task is woken when that changes.
#[track_caller]
pub fn a_pending_inner_service_is_waited_for<S: Subject>(subject: &S) {
    run("a_pending_inner_service_is_waited_for", async {
        let rig = Rig::new(subject);
        let mut caller = rig.caller();

        rig.handle.hold_ready();
        caller
            .park("it answered while the inner service was not ready")
            .await;
        assert_eq!(
            rig.handle.counts().calls,
            0,
            "it called an inner service that was not ready"
        );
        rig.handle.make_ready();
        settle().await;
        assert!(
            caller.was_woken(),
            "its task was not woken when the inner service became ready"
        );
        caller
            .expect_answer("after the inner service became ready")
            .await;

        rig.hold_calls();
        caller
            .park("it answered before the inner service did")
            .await;
        rig.answer_calls();
        settle().await;
        assert!(
            caller.was_woken(),
            "its task was not woken when the inner service answered"
        );
        caller
            .expect_answer("after the inner service answered")
            .await;
    });
}

/// While it waits for the inner service, the layer does not wake its own task: a task that does is polled for ever, at the cost of
/// a core.
#[track_caller]
pub fn it_never_wakes_itself<S: Subject>(subject: &S) {
    run("it_never_wakes_itself", async {
        let rig = Rig::new(subject);
        let mut caller = rig.caller();

        rig.handle.hold_ready();
        let early = "it answered while the inner service was not ready";
        caller.park(early).await;
        for _ in 0..POLLS {
            caller.expect_pending(early).await;
            assert!(
                !caller.was_woken(),
                "it woke its task while the inner service was not ready"
            );
        }

        rig.hold_calls();
        rig.handle.make_ready();
        let early = "it answered before the inner service did";
        caller.park(early).await;
        for _ in 0..POLLS {
            caller.expect_pending(early).await;
            assert!(
                !caller.was_woken(),
                "it woke its task while the inner service had not answered"
            );
        }
    });
}

/// A clone of a ready instance has reserved nothing: it becomes ready by itself, and takes nothing from, and shares nothing with,
/// the instance it was cloned from.
#[track_caller]
pub fn clones_start_unready<S: Subject>(subject: &S) {
    run("clones_start_unready", async {
        let rig = Rig::new(subject);
        let mut original = rig.caller();
        original.expect_ready("before it is cloned").await;
        let mut clone = original.another();
        original
            .expect_answer("on a ready instance that was cloned")
            .await;
        clone.expect_answer("on a clone of a ready instance").await;

        // A shared reservation lets two through where one was reserved. How many may pass only the layer knows, so it is compared
        // with itself.
        let of_idle = calls_at_once(subject, false).await;
        let of_ready = calls_at_once(subject, true).await;
        assert!(
            of_ready <= of_idle,
            "clones of a ready instance get {of_ready} calls through at once where clones of an idle one get {of_idle}: \
             they share its reservation"
        );
    });
}

/// How many inner calls are in flight when an instance and its clones all call, cloned before or after it became ready.
async fn calls_at_once<S: Subject>(subject: &S, ready_when_cloned: bool) -> usize {
    let rig = Rig::new(subject);
    rig.hold_calls();
    let mut original = rig.caller();
    if ready_when_cloned {
        original.expect_ready("before it is cloned").await;
    }
    let clones: Vec<_> = (0..8).map(|_| original.another()).collect();
    original.expect_ready("when nothing else is called").await;

    let mut callers = vec![original];
    callers.extend(clones);
    for caller in &mut callers {
        // Pending or refused, for want of a place: what counts is who got through.
        let _ = caller.poll_once().await;
    }
    rig.handle.counts().in_flight
}

/// An instance that is dropped when it is ready, and was never called, gives back what it reserved.
#[track_caller]
pub fn unused_readiness_is_given_back<S: Subject>(subject: &S) {
    run("unused_readiness_is_given_back", async {
        let rig = Rig::new(subject);
        for _ in 0..32 {
            rig.caller()
                .expect_ready("after ready instances were dropped")
                .await;
        }
        rig.caller()
            .expect_answer("after ready instances were dropped")
            .await;
    });
}

/// A future that is dropped takes its inner calls and its reservations with it, at whichever await point it stood.
///
/// It is dropped unpolled and after some polls, while the inner service is not ready, while it has not answered, and after it
/// failed a few times, which is where layers that try again wait.
#[track_caller]
pub fn dropped_futures_leak_nothing<S: Subject>(subject: &S) {
    run("dropped_futures_leak_nothing", async {
        // One service for all of them, so that leaks add up.
        let rig = Rig::new(subject);
        for polls in 0..=POLLS {
            for inner_is_ready in [false, true] {
                rig.hold_calls();
                if !inner_is_ready {
                    rig.handle.hold_ready();
                }
                let mut caller = rig.caller();
                if inner_is_ready {
                    caller.expect_ready("before a future is dropped").await;
                    caller.call();
                }
                for _ in 0..polls {
                    caller
                        .expect_pending("it answered before the inner service did")
                        .await;
                }
                caller.abandon();
                expect_none_in_flight(&rig, polls).await;

                rig.handle.make_ready();
                rig.answer_calls();
                caller
                    .expect_answer("on an instance whose future was dropped")
                    .await;
                rig.caller()
                    .expect_answer("after a future was dropped")
                    .await;
            }
        }

        for failures in 1..=3 {
            for polls in 1..=POLLS {
                // A new one each, as a layer may rightly refuse calls after so many failures.
                let rig = Rig::new(subject);
                rig.hold_calls();
                for _ in 0..failures {
                    rig.handle.push(Step::fail(ProbeError::default()));
                }
                let mut caller = rig.caller();
                for _ in 0..polls {
                    // An answer is fine here: not every layer tries again.
                    let _ = caller.poll_once().await;
                    tokio::time::advance(Duration::from_secs(1)).await;
                }
                caller.abandon();
                expect_none_in_flight(&rig, polls).await;
            }
        }
    });
}

async fn expect_none_in_flight<S: Subject>(rig: &Rig<'_, S>, polls: usize) {
    settle().await;
    let in_flight = rig.handle.counts().in_flight;
    assert_eq!(
        in_flight, 0,
        "a future that was dropped after {polls} polls left {in_flight} inner calls in flight"
    );
}

/// The inner service's error, from a call or from `poll_ready`, is found in the chain of what the caller gets.
#[track_caller]
pub fn errors_keep_their_source<S: Subject>(subject: &S) {
    fn check<T>(result: Result<T, BoxError>, what_failed: &str) {
        match result {
            Ok(_) => panic!("it succeeded although {what_failed}"),
            Err(error) => assert!(
                find::<ProbeError>(&*error).is_some(),
                "{what_failed}, and the reason is not among the sources of `{}`",
                chain(&error)
            ),
        }
    }

    run("errors_keep_their_source", async {
        let rig = Rig::new(subject);
        rig.handle
            .by_default(|_| Step::fail(ProbeError::new("the inner call failed")));
        let failed = "every inner call failed";
        check(rig.caller().finish(failed).await, failed);

        let rig = Rig::new(subject);
        rig.handle
            .fail_ready(ProbeError::new("the inner service is gone"));
        let failed = "the inner `poll_ready` failed";
        check(rig.caller().finish(failed).await, failed);

        let rig = Rig::new(subject);
        rig.handle.hold_ready();
        let mut caller = rig.caller();
        caller
            .park("it answered while the inner service was not ready")
            .await;
        rig.handle
            .fail_ready(ProbeError::new("the inner service is gone"));
        let failed = "the inner `poll_ready` failed after it was pending";
        check(caller.finish(failed).await, failed);
    });
}

/// Dropping every instance of the service does not end a call that is in flight: its future owns what it needs. hyper drops the
/// service that it cloned for a request long before the response.
#[track_caller]
pub fn calls_outlive_their_service<S: Subject>(subject: &S) {
    run("calls_outlive_their_service", async {
        let rig = Rig::new(subject);
        rig.hold_calls();
        let mut caller = rig.caller();
        caller
            .park("it answered before the inner service did")
            .await;
        let before = rig.handle.counts().in_flight;

        let rig = rig.drop_services(&mut caller);
        settle().await;
        assert_eq!(
            rig.handle.counts().in_flight,
            before,
            "dropping the service ended a call that was in flight"
        );
        rig.answer_calls();
        caller.expect_answer("after the service was dropped").await;
    });
}
