//! What the laws do to a layer: callers whose every poll is counted, over a probe.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
    time::Duration,
};

use bartizan_core::BoxError;
use tokio::{runtime, task, time};
use tower_service::Service;

use super::Subject;
use crate::{Probe, ProbeHandle, Step, error::chain, panics};

/// Longer than any time limit or backoff of a layer under test; it passes at once, as time is paused.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs a law. Whatever it panics with, the probe's violations included, becomes that law's.
#[track_caller]
pub(super) fn run(law: &str, body: impl Future<Output = ()>) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut broken = None;
    let body = panics::catch(body, |panic| broken = Some(panic.to_owned()));
    // Unconstrained, as tokio's budget would wake a task that only did a lot.
    runtime.block_on(task::unconstrained(body));
    if let Some(panic) = broken {
        panic!("the law `{law}` is broken: {panic}");
    }
}

/// Lets spawned tasks, if the layer has any, do all they can.
pub(super) async fn settle() {
    for _ in 0..16 {
        task::yield_now().await;
    }
}

/// A new service of the subject, and the handle of the probe below it.
pub(super) struct Rig<'a, S: Subject> {
    subject: &'a S,
    service: Option<S::Service>,
    pub(super) handle: ProbeHandle<S::Request, S::Response>,
}

impl<'a, S: Subject> Rig<'a, S> {
    pub(super) fn new(subject: &'a S) -> Self {
        let respond = subject.respond();
        let (probe, handle) = Probe::new(move |_| respond());
        Self {
            subject,
            service: Some(subject.service(probe)),
            handle,
        }
    }

    /// A caller with its own clone of the service.
    pub(super) fn caller(&self) -> Caller<'a, S> {
        Caller::new(self.subject, self.service.clone())
    }

    /// Inner calls made from now on wait for [`answer_calls`](Self::answer_calls).
    pub(super) fn hold_calls(&self) {
        let respond = self.subject.respond();
        self.handle
            .by_default(move |_| Step::respond(respond()).when_released());
    }

    /// Inner calls that were held answer now, and later ones at once.
    pub(super) fn answer_calls(&self) {
        let respond = self.subject.respond();
        self.handle.by_default(move |_| Step::respond(respond()));
        self.handle.release();
    }

    /// Drops all there is of the service but the caller's future.
    pub(super) fn drop_services(mut self, caller: &mut Caller<'_, S>) -> Self {
        self.service = None;
        caller.service = None;
        self
    }
}

type CallOf<S> = <<S as Subject>::Service as Service<<S as Subject>::Request>>::Future;
type ResponseOf<S> = <<S as Subject>::Service as Service<<S as Subject>::Request>>::Response;

/// One instance of the service and the task that calls it: readiness, call, response.
pub(super) struct Caller<'a, S: Subject> {
    subject: &'a S,
    /// `None` once it was dropped under a running call.
    service: Option<S::Service>,
    is_ready: bool,
    future: Option<Pin<Box<CallOf<S>>>>,
    woken: Arc<Woken>,
}

/// Notes that the task was woken since it was last polled.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<'a, S: Subject> Caller<'a, S> {
    fn new(subject: &'a S, service: Option<S::Service>) -> Self {
        Self {
            subject,
            service,
            is_ready: false,
            future: None,
            woken: Arc::default(),
        }
    }

    /// A caller with a clone of this one's instance.
    pub(super) fn another(&self) -> Self {
        Self::new(self.subject, self.service.clone())
    }

    fn service(&mut self) -> &mut S::Service {
        self.service.as_mut().expect("the service was not dropped")
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.service().poll_ready(cx).map_err(Into::into);
        self.is_ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    /// Calls the instance, which is ready.
    pub(super) fn call(&mut self) {
        assert!(self.is_ready, "a law calls only what is ready");
        self.is_ready = false;
        let request = self.subject.request();
        self.future = Some(Box::pin(self.service().call(request)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseOf<S>, BoxError>> {
        if self.future.is_none() {
            if !self.is_ready {
                ready!(self.poll_ready(cx))?;
            }
            self.call();
        }
        let future = self.future.as_mut().expect("it was called just now");
        let answer = ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(answer.map_err(Into::into))
    }

    /// Polls once, with a waker that only [`was_woken`](Self::was_woken) looks at, and lets others run.
    pub(super) async fn poll_once(&mut self) -> Poll<Result<ResponseOf<S>, BoxError>> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        let polled = self.poll(&mut Context::from_waker(&waker));
        settle().await;
        polled
    }

    /// Whether the task was woken since [`poll_once`](Self::poll_once).
    pub(super) fn was_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    pub(super) async fn expect_pending(&mut self, otherwise: &str) {
        match self.poll_once().await {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => panic!("{otherwise}"),
            Poll::Ready(Err(error)) => panic!("{otherwise}, with the error `{}`", chain(&error)),
        }
    }

    /// Polls as a runtime would, as long as the task is woken, up to a limit for one that wakes itself.
    pub(super) async fn park(&mut self, otherwise: &str) {
        for _ in 0..8 {
            self.expect_pending(otherwise).await;
            if !self.was_woken() {
                return;
            }
        }
    }

    /// Drops the future of the call, if there is one.
    pub(super) fn abandon(&mut self) {
        self.future = None;
    }

    /// Waits until the instance is ready.
    pub(super) async fn expect_ready(&mut self, when: &str) {
        match time::timeout(FOR_EVER, poll_fn(|cx| self.poll_ready(cx))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("`poll_ready` failed {when}: `{}`", chain(&error)),
            Err(_) => panic!("`poll_ready` waits for ever {when}"),
        }
    }

    /// Waits for what the call comes to.
    pub(super) async fn finish(&mut self, when: &str) -> Result<ResponseOf<S>, BoxError> {
        match time::timeout(FOR_EVER, poll_fn(|cx| self.poll(cx))).await {
            Ok(answer) => answer,
            Err(_) => panic!("no answer ever came: {when}"),
        }
    }

    /// Waits for the response, and drops it.
    pub(super) async fn expect_answer(&mut self, when: &str) {
        if let Err(error) = self.finish(when).await {
            panic!("an error came {when}: `{}`", chain(&error));
        }
    }
}
