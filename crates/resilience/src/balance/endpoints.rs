//! The list of endpoints, and how it changes.

use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_core::Stream;
use tokio::{task::AbortHandle, time::Instant};

use super::{
    Measure,
    node::{Node, Weighing, duration},
};
use crate::endpoint::Endpoint;

/// One change of a list of endpoints. `T` is what is there: a service, or a URL.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change<T> {
    /// Adds an endpoint, or puts this one in the place of the one that has its name.
    Insert(Endpoint, T),
    /// Takes out the endpoint of that name.
    Remove(String),
    /// This is all there is. An endpoint that was in the list and still is, by name, weight and zone, stays as it is: the new one,
    /// and the new `T`, are dropped.
    Set(Vec<(Endpoint, T)>),
}

/// A list of endpoints that balancers follow while it changes. Clones are the same list.
///
/// What is measured of an endpoint belongs to the list as well: balancers over the same list see each other's calls.
///
/// ```
/// use bartizan_core::BoxError;
/// use bartizan_resilience::{
///     balance::{Balance, Endpoints},
///     endpoint::Endpoint,
/// };
/// use tower::{Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let answers = |n: u32| tower::service_fn(move |(): ()| async move { Ok::<_, BoxError>(n) });
/// let endpoints = Endpoints::new();
/// endpoints.insert(Endpoint::new("one"), answers(1));
/// let mut service = Balance::builder().endpoints(endpoints.clone()).build()?;
/// assert_eq!(service.ready().await?.call(()).await?, 1);
///
/// endpoints.insert(Endpoint::new("two"), answers(2));
/// endpoints.remove("one");
/// assert_eq!(service.ready().await?.call(()).await?, 2);
/// assert_eq!(endpoints.snapshot()[0].endpoint().name(), "two");
/// # Ok(())
/// # }
/// ```
pub struct Endpoints<T> {
    directory: Arc<Directory<T>>,
    lifeline: Lifeline,
}

/// Ends the tasks that feed the list when neither a handle nor a balancer is left that would see it.
pub(super) type Lifeline = Arc<Tasks>;

#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<Vec<AbortHandle>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        let tasks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.iter() {
            task.abort();
        }
    }
}

struct Directory<T> {
    state: Mutex<State<T>>,
    born: Instant,
}

struct State<T> {
    roster: Arc<Roster<T>>,
    observers: Vec<Observer<T>>,
}

/// Says whether it still needs to know.
pub(super) type Observer<T> = Arc<dyn Fn(&Roster<T>) -> bool + Send + Sync>;

/// The list at one time.
pub(super) struct Roster<T> {
    pub(super) epoch: u64,
    /// Whether it is known what is in it. Until then, to be empty is no reason to refuse calls.
    pub(super) settled: bool,
    pub(super) entries: Vec<Arc<Entry<T>>>,
}

pub(super) struct Entry<T> {
    pub(super) node: Arc<Node>,
    pub(super) target: T,
}

impl<T> Endpoints<T> {
    /// An empty list.
    pub fn new() -> Self {
        Self {
            directory: Arc::new(Directory {
                state: Mutex::new(State {
                    roster: Arc::new(Roster {
                        epoch: 0,
                        settled: true,
                        entries: Vec::new(),
                    }),
                    observers: Vec::new(),
                }),
                born: Instant::now(),
            }),
            lifeline: Lifeline::default(),
        }
    }

    /// Adds an endpoint, or puts this one in the place of the one that has its name. That one is not called again once this has
    /// returned.
    pub fn insert(&self, endpoint: Endpoint, target: T) {
        self.apply(Change::Insert(endpoint, target));
    }

    /// Takes an endpoint out. It is not called again once this has returned, not even by a service that it had made ready; calls
    /// under way go on. Says whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        self.directory.remove(name)
    }

    /// Changes the list. See [`Change`].
    pub fn apply(&self, change: Change<T>) {
        self.directory.apply(change);
    }

    /// What is in the list, in its order, and how it does.
    pub fn snapshot(&self) -> Vec<EndpointSnapshot> {
        let (roster, now) = (self.directory.roster(), Instant::now());
        let weighing = Weighing::from(Measure::default());
        let snapshot = |entry: &Arc<Entry<T>>| EndpointSnapshot {
            endpoint: entry.node.endpoint().clone(),
            in_flight: entry.node.in_flight(),
            latency: entry.node.latency(now, weighing).map(duration),
        };
        roster.entries.iter().map(snapshot).collect()
    }

    pub(super) fn lifeline(&self) -> Lifeline {
        Arc::clone(&self.lifeline)
    }

    pub(super) fn roster(&self) -> Arc<Roster<T>> {
        self.directory.roster()
    }

    /// Tells `observer` of every list that comes after `known`.
    pub(super) fn observe(&self, known: &Roster<T>, observer: &Observer<T>) {
        let current = {
            let mut state = self.directory.state();
            state.observers.push(Arc::clone(observer));
            Arc::clone(&state.roster)
        };
        if current.epoch != known.epoch {
            observer(&current);
        }
    }
}

impl<T: Send + Sync + 'static> Endpoints<T> {
    /// Follows `changes`, in a task of its own, for as long as there is a clone of this or a balancer over it. Until the first
    /// change comes, balancers over an empty list wait; after it they refuse calls if there is no endpoint.
    ///
    /// An error is logged, and the list stays as it was: better an old endpoint than none. So does the end of the stream.
    /// [`Refresh`](super::Refresh) is a stream for names and files; one of tower's `Discover` is a `map` away.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn discover<St, E>(&self, changes: St)
    where
        St: Stream<Item = Result<Change<T>, E>> + Send + 'static,
        E: fmt::Display + Send,
    {
        {
            let mut state = self.directory.state();
            if state.roster.epoch == 0 && state.roster.entries.is_empty() {
                state.roster = Arc::new(Roster {
                    epoch: 0,
                    settled: false,
                    entries: Vec::new(),
                });
            }
        }
        let directory = Arc::clone(&self.directory);
        let task = tokio::spawn(async move {
            let mut changes = pin!(changes);
            loop {
                let change = std::future::poll_fn(|cx| changes.as_mut().poll_next(cx)).await;
                match change {
                    Some(Ok(change)) => directory.apply(change),
                    Some(Err(error)) => {
                        tracing::warn!(%error, "balance: no news of the endpoints");
                        directory.settle();
                    }
                    None => break directory.settle(),
                }
            }
        });
        let mut tasks = self
            .lifeline
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
    }
}

impl<T> Directory<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster(&self) -> Arc<Roster<T>> {
        Arc::clone(&self.state().roster)
    }

    fn apply(&self, change: Change<T>) {
        match change {
            Change::Insert(endpoint, target) => {
                let joined = Instant::now();
                self.update(|before| {
                    let old = before.position(endpoint.name());
                    let node = match old {
                        Some(i) => before.entries[i].node.successor(endpoint),
                        None => Node::new(endpoint, self.born, before.joined(joined)),
                    };
                    let entry = Arc::new(Entry {
                        node: Arc::new(node),
                        target,
                    });
                    let mut entries = before.entries.clone();
                    match old {
                        Some(i) => entries[i] = entry,
                        None => entries.push(entry),
                    }
                    Some(entries)
                });
            }
            Change::Remove(name) => {
                self.remove(&name);
            }
            Change::Set(list) => {
                let joined = Instant::now();
                self.update(|before| Some(self.set(before, list, joined)));
            }
        }
    }

    fn set(
        &self,
        before: &Roster<T>,
        list: Vec<(Endpoint, T)>,
        joined: Instant,
    ) -> Vec<Arc<Entry<T>>> {
        let known: HashMap<&str, &Arc<Entry<T>>> = before
            .entries
            .iter()
            .map(|entry| (entry.node.endpoint().name(), entry))
            .collect();
        let mut entries: Vec<Arc<Entry<T>>> = Vec::with_capacity(list.len());
        let mut places: HashMap<String, usize> = HashMap::with_capacity(list.len());
        for (endpoint, target) in list {
            let name = endpoint.name().to_owned();
            let entry = match known.get(&*name) {
                Some(entry) if is_alike(entry.node.endpoint(), &endpoint) => Arc::clone(entry),
                old => Arc::new(Entry {
                    node: Arc::new(match old {
                        Some(entry) => entry.node.successor(endpoint),
                        None => Node::new(endpoint, self.born, before.joined(joined)),
                    }),
                    target,
                }),
            };
            // Of two with one name the later counts, as it would if they were inserted.
            match places.get(&name) {
                Some(&i) => entries[i] = entry,
                None => {
                    places.insert(name, entries.len());
                    entries.push(entry);
                }
            }
        }
        entries
    }

    fn remove(&self, name: &str) -> bool {
        self.update(|before| {
            let i = before.position(name)?;
            let mut entries = before.entries.clone();
            entries.remove(i);
            Some(entries)
        })
    }

    /// It is known what is in the list: what is there now.
    fn settle(&self) {
        self.update(|before| (!before.settled).then(|| before.entries.clone()));
    }

    /// Puts another list in the place of the one that is there, unless `next` makes none.
    fn update(&self, next: impl FnOnce(&Roster<T>) -> Option<Vec<Arc<Entry<T>>>>) -> bool {
        let (before, after, observers) = {
            let mut state = self.state();
            let Some(entries) = next(&state.roster) else {
                return false;
            };
            let after = Arc::new(Roster {
                epoch: state.roster.epoch + 1,
                settled: true,
                entries,
            });
            let before = std::mem::replace(&mut state.roster, Arc::clone(&after));
            (before, after, state.observers.clone())
        };
        // Not under the lock: they clone services and fill tables, which is other people's code.
        let (mut gone, mut is_gone) = (Vec::new(), false);
        for observer in observers {
            if !observer(&after) {
                gone.push(observer);
                is_gone = true;
            }
        }
        if is_gone {
            let mut state = self.state();
            state
                .observers
                .retain(|observer| !gone.iter().any(|gone| Arc::ptr_eq(gone, observer)));
        }
        // After the new list is in place, so that nobody finds all of the old one removed and nothing instead.
        for entry in &before.entries {
            if !after.entries.iter().any(|kept| Arc::ptr_eq(kept, entry)) {
                entry.node.remove();
            }
        }
        tracing::debug!(
            before = before.entries.len(),
            after = after.entries.len(),
            "balance: the endpoints changed"
        );
        true
    }
}

impl<T> Roster<T> {
    fn position(&self, name: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.node.endpoint().name() == name)
    }

    /// The first ones have nobody to take over from slowly.
    fn joined(&self, now: Instant) -> Option<Instant> {
        (!self.entries.is_empty()).then_some(now)
    }
}

fn is_alike(a: &Endpoint, b: &Endpoint) -> bool {
    a.name() == b.name() && a.get_weight() == b.get_weight() && a.get_zone() == b.get_zone()
}

impl<T> FromIterator<(Endpoint, T)> for Endpoints<T> {
    fn from_iter<I: IntoIterator<Item = (Endpoint, T)>>(list: I) -> Self {
        let endpoints = Self::new();
        endpoints.apply(Change::Set(list.into_iter().collect()));
        endpoints
    }
}

impl<T> Clone for Endpoints<T> {
    fn clone(&self) -> Self {
        Self {
            directory: Arc::clone(&self.directory),
            lifeline: Arc::clone(&self.lifeline),
        }
    }
}

impl<T> Default for Endpoints<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Endpoints<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

/// How one endpoint did when [`Endpoints::snapshot`] looked.
#[derive(Clone, Debug)]
pub struct EndpointSnapshot {
    endpoint: Endpoint,
    in_flight: u32,
    latency: Option<Duration>,
}

impl EndpointSnapshot {
    /// The endpoint itself.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Calls under way.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// What a call to it takes, failures counted as slow: the moving average of [`PeakEwma`](super::PeakEwma), decayed until now at
    /// its default rate. `None` if no call has ended yet, or no picker measures.
    pub const fn latency(&self) -> Option<Duration> {
        self.latency
    }
}
