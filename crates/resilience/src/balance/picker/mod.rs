//! Who is asked next: the trait, and what it sees.

mod candidates;
mod hash;
mod power_of_two;
mod round_robin;
mod schedule;

use std::time::Duration;

pub(super) use self::candidates::too_few_are_fit;
pub use self::{
    candidates::Candidates,
    hash::{HashRing, Maglev, stable_hash},
    power_of_two::{LeastRequest, PeakEwma},
    round_robin::{RandomPick, RoundRobin, WeightedRoundRobin},
};
use crate::endpoint::Endpoint;

/// What a picker works out once for a list of endpoints, and not at every call: schedules, hash tables.
///
/// One that needs nothing of the kind says so with an empty `impl`.
pub trait Prepare: Clone {
    /// A picker for these endpoints, which has the indices of the [`Candidates`] that it will see. Called whenever the list changes.
    /// State that should outlive that is behind an `Arc`.
    #[must_use]
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        let _ = endpoints;
        self.clone()
    }

    /// How to estimate latencies, for a picker that reads them. `None`, as by default, saves looking at the clock.
    fn measure(&self) -> Option<Measure> {
        None
    }
}

/// Picks the endpoint of a call.
///
/// ```
/// use bartizan_core::BoxError;
/// use bartizan_resilience::{
///     balance::{Balance, Candidates, Picker, Prepare},
///     endpoint::Endpoint,
/// };
/// use tower::{Service, ServiceExt};
///
/// /// The first that can be used: the others are its reserve.
/// #[derive(Clone)]
/// struct First;
///
/// impl Prepare for First {}
///
/// impl<Req> Picker<Req> for First {
///     fn pick(&self, candidates: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
///         (0..candidates.len()).find(|&i| candidates.is_usable(i))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let answers = |name: &'static str| tower::service_fn(move |(): ()| async move { Ok::<_, BoxError>(name) });
/// let main = Endpoint::new("main");
/// let mut service = Balance::builder()
///     .picker(First)
///     .endpoint(main.clone(), answers("main"))
///     .endpoint(Endpoint::new("reserve"), answers("reserve"))
///     .build()?;
/// assert_eq!(service.ready().await?.call(()).await?, "main");
///
/// main.set_unfit(bartizan_resilience::endpoint::Unfit::Disabled, true);
/// assert_eq!(service.ready().await?.call(()).await?, "reserve");
/// # Ok(())
/// # }
/// ```
pub trait Picker<Req>: Prepare {
    /// Whether it has to see the request. Then readiness can only be waited for when there is one: the balancer is always ready, and
    /// its response future waits.
    const READS_REQUEST: bool = false;

    /// The index of the endpoint to ask. It is asked again, with fewer candidates, if that one is not ready.
    ///
    /// The request is there if [`READS_REQUEST`](Self::READS_REQUEST) says so. An index that cannot be used, or `None`, means any
    /// that can.
    fn pick(&self, candidates: &Candidates<'_>, request: Option<&Req>) -> Option<usize>;
}

/// How latencies are estimated: a moving average that takes a peak at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// How long until 63 % of what was measured is forgotten.
    pub decay: Duration,
    /// What is assumed of an endpoint until its first call has ended.
    pub unmeasured: Duration,
    /// What a failure counts as, if it did not take longer: an endpoint that fails in a millisecond is not a fast one.
    pub penalty: Duration,
}

/// Decay 10 s: long enough that one good answer does not bring a bad endpoint back, and short enough that a recovered one has its
/// share within a minute. Unmeasured 30 ms: a fair guess in a data centre, so that a new endpoint is not flooded before its first
/// answer. Penalty 5 s: well above what any healthy one takes.
impl Default for Measure {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            unmeasured: Duration::from_millis(30),
            penalty: Duration::from_secs(5),
        }
    }
}
