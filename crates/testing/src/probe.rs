//! The service below the layer under test.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    thread,
};

use bartizan_core::BoxError;
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};
use tower_service::Service;

use crate::{ProbeError, Step, panics, step::When, wakers::Wakers};

/// A scripted service that counts what is done to it, and enforces tower's contract.
///
/// It is ready and answers at once, unless its [`ProbeHandle`] says otherwise. All clones share one script and one set of counts;
/// readiness is each instance's own, as it is for every service that reserves something in `poll_ready`.
///
/// # Violations
///
/// A `call` on an instance whose own `poll_ready` did not return `Ready(Ok(()))` since its last call, and a response future that is
/// polled after it answered, panic at once. A panic in a spawned task is easily lost, so dropping a [`ProbeHandle`] panics again.
///
/// # Cancellation
///
/// A response future that is dropped before it answered counts as [`cancelled`](ProbeCounts::cancelled). An instance dropped while
/// ready holds nothing.
///
/// # Examples
///
/// ```
/// use bartizan_testing::{Probe, ProbeError, Step};
/// use std::future::poll_fn;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bartizan_core::BoxError> {
/// let (mut probe, handle) = Probe::new(|name: &&str| format!("hello, {name}"));
/// handle.push(Step::fail(ProbeError::new("not yet")));
///
/// poll_fn(|cx| probe.poll_ready(cx)).await?;
/// assert_eq!(probe.call("ann").await.unwrap_err().to_string(), "not yet");
/// poll_fn(|cx| probe.poll_ready(cx)).await?;
/// assert_eq!(probe.call("bob").await?, "hello, bob");
///
/// assert_eq!(handle.take_requests(), ["ann", "bob"]);
/// assert_eq!(handle.counts().calls, 2);
/// # Ok(()) }
/// ```
///
/// A call in a task of its own, held until the test has looked:
///
/// ```
/// use bartizan_testing::{Probe, Step};
/// use std::future::poll_fn;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut probe, handle) = Probe::new(|(): &()| "done");
/// handle.by_default(|()| Step::respond("done").when_released());
/// let call = tokio::spawn(async move {
///     poll_fn(|cx| probe.poll_ready(cx)).await?;
///     probe.call(()).await
/// });
///
/// handle.until(|counts| counts.in_flight == 1).await;
/// handle.release();
/// assert_eq!(call.await?.unwrap(), "done");
/// # Ok(()) }
/// ```
pub struct Probe<Req, Res> {
    shared: Arc<Shared<Req, Res>>,
    ready: bool,
}

/// What was done to a [`Probe`] and its clones, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeCounts {
    /// `poll_ready`, whatever it returned.
    pub polls: usize,
    /// `poll_ready` that returned `Ready(Ok(()))`.
    pub readies: usize,
    /// `call`.
    pub calls: usize,
    /// Instances made by `clone`.
    pub clones: usize,
    /// Instances dropped.
    pub drops: usize,
    /// Calls whose futures have neither answered nor been dropped.
    pub in_flight: usize,
    /// Calls whose futures were dropped before they answered.
    pub cancelled: usize,
}

impl<Req, Res> Probe<Req, Res> {
    /// A probe that answers each call with `respond(&request)`, and the handle that controls it.
    ///
    /// It keeps every request until [`ProbeHandle::take_requests`]: what a request holds, it holds as well.
    pub fn new(
        respond: impl Fn(&Req) -> Res + Send + Sync + 'static,
    ) -> (Self, ProbeHandle<Req, Res>) {
        let shared = Arc::new(Shared {
            script: Mutex::new(Script {
                readiness: Readiness::Ready,
                unready: Wakers::default(),
                steps: VecDeque::new(),
                otherwise: Arc::new(move |request| Step::respond(respond(request))),
                releases: 0,
                held: Wakers::default(),
                requests: Vec::new(),
                violation: None,
            }),
            counts: watch::Sender::default(),
        });
        let probe = Self {
            shared: shared.clone(),
            ready: false,
        };
        (probe, ProbeHandle { shared })
    }
}

impl<Req, Res> Clone for Probe<Req, Res> {
    fn clone(&self) -> Self {
        self.shared.count(|counts| counts.clones += 1);
        Self {
            shared: self.shared.clone(),
            // Readiness is not shared: a clone has reserved nothing.
            ready: false,
        }
    }
}

impl<Req, Res> Drop for Probe<Req, Res> {
    fn drop(&mut self) {
        self.shared.count(|counts| counts.drops += 1);
    }
}

impl<Req, Res> Service<Req> for Probe<Req, Res> {
    type Response = Res;
    type Error = BoxError;
    type Future = ProbeFuture<Req, Res>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.shared.count(|counts| counts.polls += 1);
        {
            let mut script = self.shared.script();
            match &script.readiness {
                Readiness::Failed(error) => {
                    self.ready = false;
                    return Poll::Ready(Err(error.clone().into()));
                }
                // What was granted stays granted until the call.
                Readiness::Held if !self.ready => {
                    script.unready.register(cx);
                    return Poll::Pending;
                }
                Readiness::Held | Readiness::Ready => self.ready = true,
            }
        }
        self.shared.count(|counts| counts.readies += 1);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if !mem::take(&mut self.ready) {
            self.shared.violated(
                "the probe was called on an instance that was not ready: its own `poll_ready` has to return `Ready(Ok(()))` \
                 before each call, and a clone starts unready",
            );
        }
        let (step, otherwise, released) = {
            let mut script = self.shared.script();
            (
                script.steps.pop_front(),
                script.otherwise.clone(),
                script.releases,
            )
        };
        let Step { when, answer } = step.unwrap_or_else(|| otherwise(&request));
        self.shared.script().requests.push(request);
        self.shared.count(|counts| {
            counts.calls += 1;
            counts.in_flight += 1;
        });
        ProbeFuture {
            shared: self.shared.clone(),
            gate: match when {
                When::AtOnce => Gate::Open,
                When::After(delay) => Gate::Sleep(Box::pin(sleep(delay))),
                When::Released => Gate::Held { released },
            },
            answer,
            finished: false,
        }
    }
}

/// Controls a [`Probe`] and all its clones, and knows what was done to them.
///
/// Dropping one panics if the probe's contract was violated, unless the thread panics already.
pub struct ProbeHandle<Req, Res> {
    shared: Arc<Shared<Req, Res>>,
}

impl<Req, Res> ProbeHandle<Req, Res> {
    /// The counts, now.
    pub fn counts(&self) -> ProbeCounts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are as `wanted`, woken by each change: for calls made in tasks of their own. It looks at once, and
    /// dropping it changes nothing.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the sender cannot be gone while `self` holds it"
    )]
    pub async fn until(&self, mut wanted: impl FnMut(&ProbeCounts) -> bool) -> ProbeCounts {
        let mut counts = self.shared.counts.subscribe();
        *counts
            .wait_for(|counts| wanted(counts))
            .await
            .expect("the handle holds the sender")
    }

    /// The requests received since they were last taken, in order.
    pub fn take_requests(&self) -> Vec<Req> {
        mem::take(&mut self.shared.script().requests)
    }

    /// From now on `poll_ready` is pending. An instance that is ready already stays so until its call.
    pub fn hold_ready(&self) {
        self.shared.script().readiness = Readiness::Held;
    }

    /// From now on `poll_ready` is ready, as it is at first. Wakes all who wait for it.
    pub fn make_ready(&self) {
        self.set_readiness(Readiness::Ready);
    }

    /// From now on `poll_ready` fails with `error`. Wakes all who wait for it.
    pub fn fail_ready(&self, error: ProbeError) {
        self.set_readiness(Readiness::Failed(error));
    }

    /// Adds a step to the script. Each call takes one; who calls first takes the first.
    pub fn push(&self, step: Step<Res>) {
        self.shared.script().steps.push_back(step);
    }

    /// What a call does when the script is empty.
    pub fn by_default(&self, step: impl Fn(&Req) -> Step<Res> + Send + Sync + 'static) {
        let step: Otherwise<Req, Res> = Arc::new(step);
        // The one before is dropped when the lock is not held: it may own a handle, whose drop takes the lock.
        let _before = mem::replace(&mut self.shared.script().otherwise, step);
    }

    /// Lets all calls answer that were made before and wait for it. Calls made later wait for the next release.
    pub fn release(&self) {
        let held = {
            let mut script = self.shared.script();
            script.releases += 1;
            script.held.take()
        };
        held.wake();
    }

    fn set_readiness(&self, readiness: Readiness) {
        let unready = {
            let mut script = self.shared.script();
            script.readiness = readiness;
            script.unready.take()
        };
        unready.wake();
    }
}

impl<Req, Res> Clone for ProbeHandle<Req, Res> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<Req, Res> Drop for ProbeHandle<Req, Res> {
    fn drop(&mut self) {
        let violation = self.shared.script().violation;
        if let Some(violation) = violation.filter(|_| !thread::panicking()) {
            panic!("{violation}");
        }
    }
}

/// The response future of a [`Probe`].
pub struct ProbeFuture<Req, Res> {
    shared: Arc<Shared<Req, Res>>,
    gate: Gate,
    answer: Option<Result<Res, BoxError>>,
    finished: bool,
}

enum Gate {
    Open,
    Sleep(Pin<Box<Sleep>>),
    /// Opens when there were more releases than these.
    Held {
        released: u64,
    },
}

// The answer is moved out, never pinned.
impl<Req, Res> Unpin for ProbeFuture<Req, Res> {}

impl<Req, Res> Future for ProbeFuture<Req, Res> {
    type Output = Result<Res, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.finished {
            this.shared
                .violated("the probe's response future was polled after it had answered");
        }
        match &mut this.gate {
            Gate::Open => {}
            Gate::Sleep(sleep) => ready!(sleep.as_mut().poll(cx)),
            Gate::Held { released } => {
                let mut script = this.shared.script();
                if script.releases == *released {
                    script.held.register(cx);
                    return Poll::Pending;
                }
            }
        }
        this.gate = Gate::Open;
        match this.answer.take() {
            None => Poll::Pending,
            Some(answer) => {
                this.finished = true;
                this.shared.count(|counts| counts.in_flight -= 1);
                Poll::Ready(answer)
            }
        }
    }
}

impl<Req, Res> Drop for ProbeFuture<Req, Res> {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.count(|counts| {
                counts.in_flight -= 1;
                counts.cancelled += 1;
            });
        }
    }
}

struct Shared<Req, Res> {
    script: Mutex<Script<Req, Res>>,
    counts: watch::Sender<ProbeCounts>,
}

type Otherwise<Req, Res> = Arc<dyn Fn(&Req) -> Step<Res> + Send + Sync>;

struct Script<Req, Res> {
    readiness: Readiness,
    unready: Wakers,
    steps: VecDeque<Step<Res>>,
    otherwise: Otherwise<Req, Res>,
    releases: u64,
    held: Wakers,
    requests: Vec<Req>,
    violation: Option<&'static str>,
}

enum Readiness {
    Ready,
    Held,
    Failed(ProbeError),
}

impl<Req, Res> Shared<Req, Res> {
    fn script(&self) -> MutexGuard<'_, Script<Req, Res>> {
        panics::lock(&self.script)
    }

    fn count(&self, change: impl FnOnce(&mut ProbeCounts)) {
        self.counts.send_modify(change);
    }

    fn violated(&self, violation: &'static str) -> ! {
        self.script().violation = Some(violation);
        panic!("{violation}");
    }
}

impl<Req, Res> fmt::Debug for Probe<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl<Req, Res> fmt::Debug for ProbeHandle<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeHandle")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl<Req, Res> fmt::Debug for ProbeFuture<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeFuture")
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
