//! Answers that are remembered.

mod state;

use std::{
    error, fmt,
    future::{Future, poll_fn},
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::BoxError;
use tokio::{sync::watch, time::Instant};
use tower_layer::Layer;
use tower_service::Service;

use self::state::{Found, Progress, Settings, SharedError, State};
use super::{Answer, Name};

/// Remembers what a resolver answers.
///
/// - An answer holds as long as it says, from 1 s to 1 h, or as long as the [`ttl`](Self::ttl) if it does not say.
/// - A name that is used in the last fifth of that time is looked up again in the background, so that one in use never waits again.
/// - A failure holds for the [`negative_ttl`](Self::negative_ttl).
/// - However many ask for one name, one lookup is made.
/// - The addresses keep the order in which the resolver gave them, unless they [rotate](Self::rotate).
///
/// # Placement
///
/// Around a resolver, below a [`SocketConnector`](crate::connect::SocketConnector).
///
/// # State
///
/// Each [`layer`](Layer::layer) call makes a cache of its own, which the clones of its service share.
///
/// # Readiness and cancellation
///
/// Always ready. A lookup is a task of its own and goes on when its caller has gone: others may wait for it, and its answer is
/// remembered. There is at most one for each name that is remembered.
///
/// # Errors
///
/// That of the resolver, as the source of one that is shared by all who asked.
///
/// # Examples
///
/// ```
/// use bartizan_client::dns::{Answer, CacheLayer, Name};
/// use std::{convert::Infallible, sync::atomic::{AtomicUsize, Ordering}};
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
/// let resolver = tower::service_fn(|_: Name| async {
///     LOOKUPS.fetch_add(1, Ordering::Relaxed);
///     Ok::<_, Infallible>(Answer::new(["127.0.0.1".parse().unwrap()]))
/// });
///
/// let cached = CacheLayer::new().layer(resolver);
/// for _ in 0..3 {
///     let answer = cached.clone().oneshot("api.example".parse().unwrap()).await.unwrap();
///     assert_eq!(answer.addresses().len(), 1);
/// }
/// assert_eq!(LOOKUPS.load(Ordering::Relaxed), 1);
/// # }
/// ```
///
/// Old addresses while the name servers are down:
///
/// ```
/// use bartizan_client::dns::{Answer, CacheLayer, Name};
/// use bartizan_core::BoxError;
/// use std::{sync::atomic::{AtomicBool, Ordering}, time::Duration};
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// static IS_DOWN: AtomicBool = AtomicBool::new(false);
/// let resolver = tower::service_fn(|_: Name| async {
///     if IS_DOWN.load(Ordering::Relaxed) { return Err(BoxError::from("SERVFAIL")); }
///     Ok(Answer::new(["127.0.0.1".parse().unwrap()]))
/// });
/// let cached = CacheLayer::new().stale_on_error(Duration::from_secs(3600)).layer(resolver);
///
/// cached.clone().oneshot("api.example".parse().unwrap()).await.unwrap();
/// IS_DOWN.store(true, Ordering::Relaxed);
/// tokio::time::advance(Duration::from_secs(600)).await;
/// assert!(cached.clone().oneshot("api.example".parse().unwrap()).await.is_ok());
/// assert!(cached.oneshot("new.example".parse().unwrap()).await.is_err());
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheLayer(Settings);

impl CacheLayer {
    /// With the defaults below.
    pub const fn new() -> Self {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
        Self(Settings {
            ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(2),
            stale_on_error: Duration::ZERO,
            capacity: CAPACITY,
            rotates: false,
        })
    }

    /// Sets how long an answer holds that does not say, as the system's do not. From 1 s to 1 h.
    ///
    /// Default: 30 s. The records of a service that fails over by DNS live that long at the least, and a lookup twice a minute is nothing.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.0.ttl = ttl;
        self
    }

    /// Sets how long a failure holds. Up to 5 minutes are used, the most that RFC 2308 section 7 allows.
    ///
    /// Default: 2 s. It takes the brunt off the name server when everybody retries, and nobody waits long for a name that is just made.
    pub const fn negative_ttl(mut self, ttl: Duration) -> Self {
        const LONGEST: Duration = Duration::from_secs(300);
        self.0.negative_ttl = if ttl.as_millis() > LONGEST.as_millis() {
            LONGEST
        } else {
            ttl
        };
        self
    }

    /// Sets for how long after their time addresses still serve where a lookup fails (RFC 8767). Up to 7 days are used.
    ///
    /// Default: not at all: they may belong to somebody else by now.
    pub const fn stale_on_error(mut self, time: Duration) -> Self {
        const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
        self.0.stale_on_error = if time.as_millis() > LONGEST.as_millis() {
            LONGEST
        } else {
            time
        };
        self
    }

    /// Sets how many names are remembered. Default: 1,024, some hundreds of kilobytes. The one that would be forgotten first makes room.
    pub const fn capacity(mut self, names: NonZeroUsize) -> Self {
        self.0.capacity = names;
        self
    }

    /// Sets whether each answer begins one address further on, within each family, so that connections spread over all of them.
    ///
    /// Default: `false`. The order of the system is that of RFC 6724, which has its reasons: the nearest comes first.
    pub const fn rotate(mut self, rotates: bool) -> Self {
        self.0.rotates = rotates;
        self
    }
}

impl Default for CacheLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> Layer<R> for CacheLayer {
    type Service = Cached<R>;

    fn layer(&self, resolver: R) -> Cached<R> {
        Cached {
            resolver,
            state: Arc::new(Mutex::new(State::new(self.0))),
        }
    }
}

/// A resolver whose answers are remembered, by a [`CacheLayer`].
#[derive(Clone, Debug)]
pub struct Cached<R> {
    resolver: R,
    state: Arc<Mutex<State>>,
}

impl<R> Cached<R> {
    /// Forgets every answer. Lookups under way go on.
    pub fn clear(&self) {
        lock(&self.state).clear();
    }
}

impl<R> Service<Name> for Cached<R>
where
    R: Service<Name, Response = Answer> + Clone + Send + 'static,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = CachedLookup;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> CachedLookup {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let found = state.find(&name, now);
        let begun = match found {
            Found::Nothing | Found::KnownButOld(_) => {
                let (progress, receiver) = watch::channel(Progress::Begun);
                state.begin(&name, receiver.clone(), now);
                Some((progress, receiver))
            }
            Found::Known(_) | Found::Join(_) => None,
        };
        drop(state);
        let mut joined = None;
        if let Some((progress, receiver)) = begun {
            let (resolver, state) = (self.resolver.clone(), Arc::clone(&self.state));
            tokio::spawn(look_up(resolver, name, state, progress));
            joined = Some(receiver);
        }
        CachedLookup(match (found, joined) {
            (Found::Known(outcome), _) => {
                Lookup::Known(Some(outcome.map(Answer::new).map_err(BoxError::from)))
            }
            (Found::KnownButOld(addresses), _) => Lookup::Known(Some(Ok(Answer::new(addresses)))),
            (Found::Join(receiver), _) | (Found::Nothing, Some(receiver)) => {
                Lookup::Waiting(Box::pin(wait(receiver)))
            }
            (Found::Nothing, None) => unreachable!("a lookup begins where nothing is known"),
        })
    }
}

async fn look_up<R>(
    mut resolver: R,
    name: Name,
    state: Arc<Mutex<State>>,
    progress: watch::Sender<Progress>,
) where
    R: Service<Name, Response = Answer> + Send,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    let question = name.clone();
    let asking = async {
        poll_fn(|cx| resolver.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        let answer = resolver.call(question).await.map_err(Into::into)?;
        if answer.rest.is_some() && !answer.addresses.is_empty() {
            progress.send_replace(Progress::Partial(answer.addresses.clone()));
        }
        let answer = answer.complete().await?;
        if answer.addresses.is_empty() {
            return Err(BoxError::from("the name has no address"));
        }
        Ok((answer.addresses, answer.ttl))
    };
    let result = asking.await.map_err(SharedError::from);
    let outcome = lock(&state).end(&name, result, Instant::now());
    progress.send_replace(Progress::Done(outcome));
}

/// Waits for addresses, be it of one family.
async fn wait(mut lookup: watch::Receiver<Progress>) -> Result<Answer, BoxError> {
    loop {
        let progress = lookup.borrow_and_update().clone();
        match progress {
            Progress::Begun => lookup.changed().await.map_err(|_| Aborted)?,
            Progress::Done(outcome) => return Ok(Answer::new(outcome?)),
            Progress::Partial(known) => {
                let rest = rest(lookup, known.clone());
                return Ok(Answer::new(known).with_rest(rest));
            }
        }
    }
}

/// Waits for the addresses that are not `known`.
async fn rest(
    mut lookup: watch::Receiver<Progress>,
    known: Vec<std::net::IpAddr>,
) -> Result<Answer, BoxError> {
    let done = lookup
        .wait_for(|progress| matches!(progress, Progress::Done(_)))
        .await
        .map_err(|_| Aborted)?
        .clone();
    match done {
        Progress::Done(outcome) => {
            let new = outcome?.into_iter().filter(|ip| !known.contains(ip));
            Ok(Answer::new(new))
        }
        Progress::Begun | Progress::Partial(_) => Err(Aborted.into()),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing panics while it is held; and if it did, what is remembered is still true.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lookup of a [`Cached`] resolver.
#[must_use = "futures do nothing unless polled"]
pub struct CachedLookup(Lookup);

enum Lookup {
    Known(Option<Result<Answer, BoxError>>),
    Waiting(Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>),
}

impl Future for CachedLookup {
    type Output = Result<Answer, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Lookup::Known(answer) => Poll::Ready(answer.take().expect("polled after completion")),
            Lookup::Waiting(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for CachedLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedLookup").finish_non_exhaustive()
    }
}

/// The task of a lookup is gone: it panicked, or its runtime is shutting down.
#[derive(Debug)]
struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lookup was broken off: the resolver panicked, or its runtime shut down")
    }
}

impl error::Error for Aborted {}
