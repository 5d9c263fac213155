//! What the clones of one balancer share: the endpoints of the moment, with a service for each, and who picks.

use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    endpoints::{Endpoints, Entry, Lifeline, Observer, Roster},
    node::{Node, Weighing},
    picker::{Candidates, Picker, Prepare, too_few_are_fit},
};
use crate::{
    endpoint::Endpoint,
    random::Random,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How endpoints are chosen, whatever the picker.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) panic_threshold: f64,
    pub(super) zone: Option<String>,
    pub(super) slow_start: Duration,
    pub(super) random: Random,
}

impl Rules {
    pub(super) const DEFAULT: Self = Self {
        panic_threshold: 0.5,
        zone: None,
        slow_start: Duration::ZERO,
        random: Random::THREAD,
    };
}

/// The least part of its turns that an endpoint in slow start takes.
const FIRST_SHARE: f64 = 0.1;

pub(super) struct Shared<S, P> {
    /// That of `current`. Read at every call; the lock is taken when it moved.
    epoch: AtomicU64,
    current: Mutex<Arc<Set<S, P>>>,
    /// For those who wait while all endpoints are busy.
    changes: watch::Sender<u64>,
    picker: P,
    rules: Rules,
    pub(super) weighing: Option<Weighing>,
    _lifeline: Lifeline,
}

/// The endpoints of one epoch.
pub(super) struct Set<S, P> {
    pub(super) epoch: u64,
    pub(super) settled: bool,
    all: Pool<S, P>,
    /// Those of the preferred zone, if there are others.
    local: Option<Pool<S, P>>,
    /// When the last of them has had its slow start.
    warm_at: Option<Instant>,
    is_warm: AtomicBool,
}

/// Endpoints, and a picker that knows them.
struct Pool<S, P> {
    nodes: Box<[Arc<Node>]>,
    services: Box<[S]>,
    picker: P,
    /// Too few were fit when somebody last looked.
    is_thin: AtomicBool,
}

impl<S: Clone, P: Prepare> Pool<S, P> {
    fn new(members: Vec<(Arc<Node>, S)>, picker: &P) -> Self {
        let (nodes, services): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let endpoints: Vec<Endpoint> = nodes.iter().map(|node| node.endpoint().clone()).collect();
        Self {
            picker: picker.prepare(&endpoints),
            nodes: nodes.into(),
            services: services.into(),
            is_thin: AtomicBool::new(false),
        }
    }
}

impl<S: Clone, P: Prepare> Set<S, P> {
    fn new<T>(roster: &Roster<T>, make: impl Fn(&T) -> S, picker: &P, rules: &Rules) -> Self {
        let member = |entry: &Arc<Entry<T>>| (Arc::clone(&entry.node), make(&entry.target));
        let members: Vec<_> = roster.entries.iter().map(member).collect();
        let local: Vec<_> = match &rules.zone {
            Some(zone) => members
                .iter()
                .filter(|(node, _)| node.endpoint().get_zone() == Some(zone))
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        let has_others = local.len() < members.len();
        let joined = members.iter().filter_map(|(node, _)| node.joined()).max();
        let warm_at = joined.and_then(|joined| joined.checked_add(rules.slow_start));
        Self {
            epoch: roster.epoch,
            settled: roster.settled,
            local: (!local.is_empty() && has_others).then(|| Pool::new(local, picker)),
            all: Pool::new(members, picker),
            warm_at,
            is_warm: AtomicBool::new(rules.slow_start.is_zero() || warm_at.is_none()),
        }
    }
}

impl<S, P> Shared<S, P>
where
    S: Clone + Send + Sync + 'static,
    P: Prepare + Send + Sync + 'static,
{
    /// Follows `endpoints`, with the service that `make` makes of what is there.
    pub(super) fn follow<T: Send + Sync + 'static>(
        endpoints: &Endpoints<T>,
        make: impl Fn(&T) -> S + Send + Sync + 'static,
        picker: P,
        rules: Rules,
    ) -> Arc<Self> {
        let roster = endpoints.roster();
        let first = Set::new(&roster, &make, &picker, &rules);
        let shared = Arc::new(Self {
            epoch: AtomicU64::new(first.epoch),
            changes: watch::Sender::new(first.epoch),
            current: Mutex::new(Arc::new(first)),
            weighing: picker.measure().map(Weighing::from),
            picker,
            rules,
            _lifeline: endpoints.lifeline(),
        });
        // Weak: a list that outlives its balancers does not keep them.
        let observer = Arc::downgrade(&shared);
        let observer: Observer<T> = Arc::new(move |roster| match observer.upgrade() {
            Some(shared) => {
                let set = Set::new(roster, &make, &shared.picker, &shared.rules);
                shared.adopt(Arc::new(set));
                true
            }
            None => false,
        });
        endpoints.observe(&roster, &observer);
        shared
    }
}

impl<S, P> Set<S, P> {
    /// Or none with a weight.
    pub(super) fn has_no_endpoints(&self) -> bool {
        self.all.nodes.iter().all(|node| node.weight() == 0)
    }
}

impl<S, P> Shared<S, P> {
    fn adopt(&self, set: Arc<Set<S, P>>) {
        let epoch = set.epoch;
        let _before = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            // Two changes at once may come here in either order.
            if epoch <= current.epoch {
                return;
            }
            // Release: who sees the number finds the set at least as new.
            self.epoch.store(epoch, Ordering::Release);
            std::mem::replace(&mut *current, set)
        };
        self.changes.send_replace(epoch);
    }

    pub(super) fn current(&self) -> Arc<Set<S, P>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_current(&self, set: &Set<S, P>) -> bool {
        self.epoch.load(Ordering::Acquire) == set.epoch
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl<S: Clone, P> Shared<S, P> {
    /// An endpoint, with a service of it that nobody has made ready yet. `tried` are out of the question.
    pub(super) fn pick<Req>(
        &self,
        set: &Set<S, P>,
        tried: &[Arc<Node>],
        request: Option<&Req>,
    ) -> Option<(Arc<Node>, S)>
    where
        P: Picker<Req>,
    {
        let local = set.local.as_ref();
        let (pool, i) = local
            .and_then(|local| Some((local, self.pick_local(set, local, tried, request)?)))
            .or_else(|| Some((&set.all, self.pick_of_all(set, tried, request)?)))?;
        Some((Arc::clone(&pool.nodes[i]), pool.services[i].clone()))
    }

    /// Within the preferred zone, as long as enough of it is fit: what is left of it would have to bear all of its load.
    fn pick_local<Req>(
        &self,
        set: &Set<S, P>,
        local: &Pool<S, P>,
        tried: &[Arc<Node>],
        request: Option<&Req>,
    ) -> Option<usize>
    where
        P: Picker<Req>,
    {
        if local.is_thin.load(Ordering::Relaxed) {
            if too_few_are_fit(&local.nodes, self.rules.panic_threshold) {
                return None;
            }
            local.is_thin.store(false, Ordering::Relaxed);
            tracing::info!("balance: the preferred zone is fit again");
        }
        let mut candidates = self.candidates(local, tried);
        let picked = self.pick_in(set, local, &mut candidates, request);
        // Only asked for if an unfit one was met, which on the average happens at once if many are.
        if candidates.panics.get() == Some(true) {
            local.is_thin.store(true, Ordering::Relaxed);
            tracing::warn!("balance: little of the preferred zone is fit, so all zones are used");
            return None;
        }
        picked
    }

    fn pick_of_all<Req>(
        &self,
        set: &Set<S, P>,
        tried: &[Arc<Node>],
        request: Option<&Req>,
    ) -> Option<usize>
    where
        P: Picker<Req>,
    {
        let mut candidates = self.candidates(&set.all, tried);
        let picked = self.pick_in(set, &set.all, &mut candidates, request);
        if let Some(panics) = candidates.panics.get() {
            if set.all.is_thin.swap(panics, Ordering::Relaxed) != panics {
                tracing::warn!(
                    panics,
                    "balance: whether too few are fit for fitness to count"
                );
            }
        }
        picked
    }

    /// An endpoint that has just joined passes some of its turns on.
    fn pick_in<Req>(
        &self,
        set: &Set<S, P>,
        pool: &Pool<S, P>,
        candidates: &mut Candidates<'_>,
        request: Option<&Req>,
    ) -> Option<usize>
    where
        P: Picker<Req>,
    {
        let pick = |candidates: &Candidates<'_>| {
            let picked = pool.picker.pick(candidates, request);
            picked
                .filter(|&i| i < candidates.len() && candidates.is_usable(i))
                .or_else(|| candidates.any())
        };
        let i = pick(candidates)?;
        if set.is_warm.load(Ordering::Relaxed) {
            return Some(i);
        }
        let now = candidates.now.get().unwrap_or_else(Instant::now);
        if set.warm_at.is_none_or(|warm_at| now >= warm_at) {
            set.is_warm.store(true, Ordering::Relaxed);
            return Some(i);
        }
        let Some(joined) = pool.nodes[i].joined() else {
            return Some(i);
        };
        let age = now.saturating_duration_since(joined);
        let share = age.div_duration_f64(self.rules.slow_start);
        if self.rules.random.unit() < share.max(FIRST_SHARE) {
            return Some(i);
        }
        candidates.skip = Some(i);
        pick(candidates).or(Some(i))
    }

    fn candidates<'a>(&'a self, pool: &'a Pool<S, P>, tried: &'a [Arc<Node>]) -> Candidates<'a> {
        Candidates {
            nodes: &pool.nodes,
            tried,
            skip: None,
            panic_threshold: self.rules.panic_threshold,
            panics: Cell::new(None),
            weighing: self.weighing,
            now: Cell::new(None),
            random: &self.rules.random,
        }
    }
}

impl<S, P> fmt::Debug for Set<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all.nodes.iter().map(|node| node.endpoint().name());
        f.debug_list().entries(names).finish()
    }
}

impl<S, P: fmt::Debug> fmt::Debug for Shared<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("picker", &self.picker)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
