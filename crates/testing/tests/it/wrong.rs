//! Layers that are wrong, each in one way, and the law that says so.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bartizan_core::BoxError;
use bartizan_testing::{
    Probe,
    laws::{self, Subject, subject},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tower_service::Service;

use crate::panic_of;

type Inner = Probe<(), ()>;
type Ready = Poll<Result<(), BoxError>>;
type Call = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A service of two functions over a state that is cloned with it. Each wrong layer is one.
#[derive(Clone)]
struct Wrong<T> {
    state: T,
    ready: fn(&mut T, &mut Context<'_>) -> Ready,
    call: fn(&mut T) -> Call,
}

impl<T> Service<()> for Wrong<T> {
    type Response = ();
    type Error = BoxError;
    type Future = Call;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Ready {
        (self.ready)(&mut self.state, cx)
    }

    fn call(&mut self, (): ()) -> Call {
        (self.call)(&mut self.state)
    }
}

fn wrong<T: Clone + Send + 'static>(
    state: fn(Inner) -> T,
    ready: fn(&mut T, &mut Context<'_>) -> Ready,
    call: fn(&mut T) -> Call,
) -> impl Subject {
    subject(
        || (),
        || (),
        move |probe| Wrong {
            state: state(probe),
            ready,
            call,
        },
    )
}

fn ready(inner: &mut Inner, cx: &mut Context<'_>) -> Ready {
    inner.poll_ready(cx)
}

fn call(inner: &mut Inner) -> Call {
    Box::pin(inner.call(()))
}

/// The law of that name breaks, and says why; the laws after it are kept, as proof that it is this law which catches the mistake.
macro_rules! breaks {
    ($subject:expr, $law:ident, $why:literal $(, keeps $($kept:ident)+)?) => {{
        let subject = $subject;
        let message = panic_of(|| laws::$law(&subject));
        let expected = concat!("the law `", stringify!($law), "` is broken: ");
        let why = message.strip_prefix(expected);
        assert!(why.is_some_and(|why| why.contains($why)), "{message}");
        $($(laws::$kept(&subject);)+)?
    }};
}

#[test]
fn answers_by_itself() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |_| Box::pin(async { Ok(()) }),
        ),
        a_good_call_gets_through,
        "it answered without calling the inner service",
        keeps readiness_is_honoured clones_start_unready unused_readiness_is_given_back
    );
}

#[test]
fn fails_good_calls() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |_| Box::pin(async { Err("too strict".into()) }),
        ),
        a_good_call_gets_through,
        "an error came to a good call: `too strict`"
    );
}

#[test]
fn never_answers() {
    breaks!(
        wrong(|probe| probe, ready, |_| Box::pin(std::future::pending()),),
        a_good_call_gets_through,
        "no answer ever came"
    );
}

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

#[test]
fn waits_for_readiness_with_no_waker() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, _| inner.poll_ready(&mut Context::from_waker(Waker::noop())),
            call,
        ),
        a_pending_inner_service_is_waited_for,
        "its task was not woken when the inner service became ready",
        keeps a_good_call_gets_through readiness_is_honoured it_never_wakes_itself clones_start_unready
              unused_readiness_is_given_back dropped_futures_leak_nothing calls_outlive_their_service
    );
}

#[test]
fn waits_for_the_answer_with_no_waker() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let mut call = inner.call(());
                Box::pin(poll_fn(move |_| {
                    Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()))
                }))
            },
        ),
        a_pending_inner_service_is_waited_for,
        "its task was not woken when the inner service answered",
        keeps a_good_call_gets_through readiness_is_honoured it_never_wakes_itself errors_keep_their_source
    );
}

#[test]
fn wakes_itself_until_the_inner_service_is_ready() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, cx| {
                let polled = inner.poll_ready(cx);
                if polled.is_pending() {
                    cx.waker().wake_by_ref();
                }
                polled
            },
            call,
        ),
        it_never_wakes_itself,
        "it woke its task while the inner service was not ready",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for clones_start_unready
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn wakes_itself_until_the_inner_service_answers() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let mut call = inner.call(());
                Box::pin(poll_fn(move |cx| {
                    let polled = Pin::new(&mut call).poll(cx);
                    if polled.is_pending() {
                        cx.waker().wake_by_ref();
                    }
                    polled
                }))
            },
        ),
        it_never_wakes_itself,
        "it woke its task while the inner service had not answered",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for clones_start_unready
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn copies_a_flag_that_says_ready() {
    breaks!(
        wrong(
            |probe| (probe, false),
            |(inner, is_ready), cx| {
                if !*is_ready {
                    ready!(inner.poll_ready(cx))?;
                    *is_ready = true;
                }
                Poll::Ready(Ok(()))
            },
            |(inner, is_ready)| {
                *is_ready = false;
                call(inner)
            },
        ),
        clones_start_unready,
        "the probe was called on an instance that was not ready",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}

/// A limit of one whose permit is cloned with it.
#[derive(Clone)]
struct SharedPermit {
    inner: Inner,
    semaphore: Arc<Semaphore>,
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

#[test]
fn shares_its_reservation_with_its_clones() {
    breaks!(
        wrong(
            |inner| SharedPermit {
                inner,
                semaphore: Arc::new(Semaphore::new(1)),
                permit: None,
            },
            |limit, cx| {
                if limit.permit.is_none() {
                    match limit.semaphore.clone().try_acquire_owned() {
                        Ok(permit) => limit.permit = Some(Arc::new(permit)),
                        // A place is free again only when a call ends, which no law waits for here.
                        Err(_) => return Poll::Pending,
                    }
                }
                limit.inner.poll_ready(cx)
            },
            |limit| {
                let permit = limit.permit.take();
                let call = limit.inner.call(());
                Box::pin(async move {
                    let _permit = permit;
                    call.await
                })
            },
        ),
        clones_start_unready,
        "clones of a ready instance get 9 calls through at once where clones of an idle one get 1",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}

/// Counts places by hand, so that whoever forgets to give one back leaks it.
#[derive(Default)]
struct Places {
    taken: Arc<AtomicUsize>,
    reserved: bool,
}

impl Clone for Places {
    fn clone(&self) -> Self {
        Self {
            taken: self.taken.clone(),
            reserved: false,
        }
    }
}

impl Places {
    fn reserve(&mut self) -> bool {
        self.reserved = self.reserved
            || self
                .taken
                .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok();
        self.reserved
    }
}

struct GiveBack(Arc<AtomicUsize>);

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

#[test]
fn keeps_the_reservation_of_a_ready_instance_that_is_dropped() {
    breaks!(
        wrong(
            |probe| (probe, Places::default()),
            |(inner, places), cx| {
                if !places.reserve() {
                    return Poll::Pending;
                }
                inner.poll_ready(cx)
            },
            |(inner, places)| {
                places.reserved = false;
                let call = inner.call(());
                let guard = GiveBack(places.taken.clone());
                Box::pin(async move {
                    let _guard = guard;
                    call.await
                })
            },
        ),
        unused_readiness_is_given_back,
        "`poll_ready` waits for ever after ready instances were dropped",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn keeps_the_place_of_a_future_that_is_dropped() {
    breaks!(
        wrong(
            |probe| (probe, Places::default()),
            |(inner, places), cx| {
                if !places.reserve() {
                    return Poll::Pending;
                }
                inner.poll_ready(cx)
            },
            |(inner, places)| {
                places.reserved = false;
                let call = inner.call(());
                let taken = places.taken.clone();
                Box::pin(async move {
                    let answer = call.await;
                    drop(GiveBack(taken));
                    answer
                })
            },
        ),
        dropped_futures_leak_nothing,
        "no answer ever came: on an instance whose future was dropped",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn leaves_its_calls_running() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let call = tokio::spawn(inner.call(()));
                Box::pin(async move { call.await? })
            },
        ),
        dropped_futures_leak_nothing,
        "a future that was dropped after 0 polls left 1 inner calls in flight",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn leaves_its_second_attempt_running() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let mut second = inner.clone();
                let first = inner.call(());
                Box::pin(async move {
                    if first.await.is_ok() {
                        return Ok(());
                    }
                    tokio::spawn(async move {
                        poll_fn(|cx| second.poll_ready(cx)).await?;
                        second.call(()).await
                    })
                    .await?
                })
            },
        ),
        dropped_futures_leak_nothing,
        "left 1 inner calls in flight",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back errors_keep_their_source calls_outlive_their_service
    );
}

/// An error with a text where a source should be.
#[derive(Debug)]
struct Opaque(String);

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it failed: {}", self.0)
    }
}

impl std::error::Error for Opaque {}

#[test]
fn drops_the_source_of_a_failed_call() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let call = inner.call(());
                Box::pin(async move { call.await.map_err(|error| Opaque(error.to_string()).into()) })
            },
        ),
        errors_keep_their_source,
        "every inner call failed, and the reason is not among the sources of `it failed: the inner call failed`",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back dropped_futures_leak_nothing calls_outlive_their_service
    );
}

#[test]
fn drops_the_source_of_failed_readiness() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, cx| inner
                .poll_ready(cx)
                .map_err(|error| Opaque(error.to_string()).into()),
            call,
        ),
        errors_keep_their_source,
        "the inner `poll_ready` failed, and the reason is not among the sources",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back dropped_futures_leak_nothing calls_outlive_their_service
    );
}

#[test]
fn hides_failures() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let call = inner.call(());
                Box::pin(async move { call.await.or(Ok(())) })
            },
        ),
        errors_keep_their_source,
        "it succeeded although every inner call failed"
    );
}

/// Owns the calls of all its clones, so that they end with the last of them.
#[derive(Clone, Default)]
struct Calls(Arc<std::sync::Mutex<JoinSet<()>>>);

#[test]
fn takes_its_calls_with_it() {
    breaks!(
        wrong(
            |probe| (probe, Calls::default()),
            |(inner, _), cx| inner.poll_ready(cx),
            |(inner, calls)| {
                let call = inner.call(());
                let (answered, answer) = tokio::sync::oneshot::channel();
                let task = calls.0.lock().unwrap().spawn(async move {
                    // Ends with its caller too, or it would leak.
                    let _ = answered.send(call.await);
                });
                Box::pin(async move {
                    let _abort = AbortOnDrop(task);
                    answer.await?
                })
            },
        ),
        calls_outlive_their_service,
        "dropping the service ended a call that was in flight",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back errors_keep_their_source
    );
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
