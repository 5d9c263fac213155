//! Endpoints that have to be asked for again and again: names, and files.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bartizan_core::BoxError;
use futures_core::Stream;
use tokio::time::Sleep;

use super::Change;
use crate::endpoint::Endpoint;

type List<T> = Vec<(Endpoint, T)>;
/// `None` if nothing changed.
type Answer<T> = Pin<Box<dyn Future<Output = Result<Option<List<T>>, BoxError>> + Send>>;

/// Asks a source for the list of endpoints, at once and then at intervals: a stream for [`Endpoints::discover`](super::Endpoints::discover).
///
/// The interval begins when the answer is there, so a source that is slow is not asked twice at once. An empty answer is an error,
/// because a source that suddenly knows nobody is more likely to be broken than right: the list stays as it was.
///
/// ```
/// use bartizan_core::{BaseUrl, BoxError};
/// use bartizan_resilience::{
///     balance::{Endpoints, Refresh},
///     endpoint::Endpoint,
/// };
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let endpoints: Endpoints<BaseUrl> = Endpoints::new();
/// endpoints.discover(Refresh::new(Duration::from_secs(30), || async {
///     // Stands for a call to a registry.
///     let url: BaseUrl = "http://10.0.0.1:8080".parse()?;
///     Ok::<_, BoxError>(vec![(Endpoint::new("one"), url)])
/// }));
/// tokio::time::sleep(Duration::from_secs(1)).await;
/// assert_eq!(endpoints.snapshot().len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Refresh<T> {
    ask: Box<dyn FnMut() -> Answer<T> + Send>,
    interval: Duration,
    state: State<T>,
}

enum State<T> {
    Asking(Answer<T>),
    Waiting(Pin<Box<Sleep>>),
}

impl<T: 'static> Refresh<T> {
    /// Asks `source` every `interval`, which is at least a millisecond.
    pub fn new<F, Fut, E>(interval: Duration, mut source: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<List<T>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::of(interval, move || {
            let answer = source();
            Box::pin(async move { answer.await.map(Some).map_err(Into::into) })
        })
    }

    fn of(interval: Duration, mut ask: impl FnMut() -> Answer<T> + Send + 'static) -> Self {
        Self {
            state: State::Asking(ask()),
            ask: Box::new(ask),
            interval: interval.max(Duration::from_millis(1)),
        }
    }

    /// Resolves a name every `interval`, and makes an endpoint of every address, with what `target` makes of it. The endpoint is
    /// named after the address, so one that is still there keeps its connections and what was measured.
    ///
    /// `resolve` is any lookup, such as `|| tokio::net::lookup_host("orders.internal:8080")`. The system's says nothing of how
    /// long its answer holds; 30 s is what most caches keep it.
    ///
    /// ```
    /// use bartizan_core::BoxError;
    /// use bartizan_resilience::balance::{Balance, Endpoints, Refresh};
    /// use std::{net::SocketAddr, time::Duration};
    /// use tower::ServiceExt;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), BoxError> {
    /// // Stands for `tokio::net::lookup_host`.
    /// let resolve = || async { Ok::<_, std::io::Error>([SocketAddr::from(([10, 0, 0, 1], 80))]) };
    /// let endpoints = Endpoints::new();
    /// endpoints.discover(Refresh::dns(Duration::from_secs(30), resolve, |addr| {
    ///     tower::service_fn(move |(): ()| async move { Ok::<_, BoxError>(addr) })
    /// }));
    /// // It waits for the first answer of the resolver.
    /// let service = Balance::builder().endpoints(endpoints).build()?;
    /// assert_eq!(service.oneshot(()).await?.to_string(), "10.0.0.1:80");
    /// # Ok(())
    /// # }
    /// ```
    pub fn dns<F, Fut, I, M>(interval: Duration, mut resolve: F, target: M) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = io::Result<I>> + Send + 'static,
        I: IntoIterator<Item = SocketAddr>,
        M: Fn(SocketAddr) -> T + Send + Sync + 'static,
    {
        let target = Arc::new(target);
        Self::of(interval, move || {
            let (answer, target) = (resolve(), Arc::clone(&target));
            Box::pin(async move {
                let mut addrs: Vec<SocketAddr> = answer.await?.into_iter().collect();
                // Resolvers turn their answers round, which is no change.
                addrs.sort_unstable();
                addrs.dedup();
                let endpoint = |addr: SocketAddr| (Endpoint::new(addr.to_string()), target(addr));
                Ok(Some(addrs.into_iter().map(endpoint).collect()))
            })
        })
    }
}

impl<T: Send + 'static> Refresh<T> {
    /// Reads a file every `interval` and has `parse` make endpoints of it, if its time or its length have changed since. What cannot
    /// be parsed is an error, and is tried again.
    pub fn file<M, E>(path: impl Into<PathBuf>, interval: Duration, parse: M) -> Self
    where
        M: Fn(&str) -> Result<List<T>, E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        let source = Arc::new(File {
            path: path.into(),
            parse,
            seen: Mutex::new(None),
        });
        Self::of(interval, move || {
            let source = Arc::clone(&source);
            // Files have no readiness: reading one blocks a thread, which had better not be a worker.
            let reading = tokio::task::spawn_blocking(move || source.read());
            Box::pin(async move { reading.await? })
        })
    }
}

struct File<M> {
    path: PathBuf,
    parse: M,
    /// Its time and its length when it was last parsed.
    seen: Mutex<Option<(SystemTime, u64)>>,
}

impl<M> File<M> {
    fn read<T, E>(&self) -> Result<Option<List<T>>, BoxError>
    where
        M: Fn(&str) -> Result<List<T>, E>,
        E: Into<BoxError>,
    {
        let explain = |error| io::Error::new(io::Error::kind(&error), self.explain(&error));
        let meta = std::fs::metadata(&self.path).map_err(explain)?;
        let stamp = (meta.modified()?, meta.len());
        if *self.seen() == Some(stamp) {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&self.path).map_err(explain)?;
        let list = (self.parse)(&text).map_err(Into::into)?;
        if !list.is_empty() {
            *self.seen() = Some(stamp);
        }
        Ok(Some(list))
    }

    fn explain(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.path.display())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<(SystemTime, u64)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Stream for Refresh<T> {
    type Item = Result<Change<T>, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                // ## Asking => Waiting
                State::Asking(answer) => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    this.state = State::Waiting(Box::pin(tokio::time::sleep(this.interval)));
                    match answer {
                        Ok(None) => {}
                        Ok(Some(list)) if list.is_empty() => {
                            return Poll::Ready(Some(Err("the source knows no endpoint".into())));
                        }
                        Ok(Some(list)) => return Poll::Ready(Some(Ok(Change::Set(list)))),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                // ## Waiting => Asking
                State::Waiting(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    this.state = State::Asking((this.ask)());
                }
            }
        }
    }
}

/// Nothing in it is pinned in place.
impl<T> Unpin for Refresh<T> {}

impl<T> fmt::Debug for Refresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh")
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
