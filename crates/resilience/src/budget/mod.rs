//! Bounds the load that retries add.
//!
//! Every call pays in a part of a retry, time pays in some more, and every retry takes a whole one out. When nothing is left, there are
//! no retries until more has been paid in. So an outage, where every call fails, raises the load by that part and not by as many times
//! as there are attempts: with the defaults, to 120 % and not to 300 %.
//!
//! It is a bucket that holds so much and no more. What calls earned in a quiet hour cannot be spent in one second of trouble: at any
//! time scale, there are never more retries than
//!
//! > [ratio](BudgetBuilder::ratio) × calls + [per second](BudgetBuilder::per_second) × seconds + [burst](BudgetBuilder::burst)
//!
//! The arithmetic is in millionths of a retry, in whole numbers: 60 % is 60 %, however long it runs.
//!
//! # State
//!
//! A [`Budget`] is a handle: clones share one account. Give clones of one budget to several layers, and they share it. To pay in, a
//! call adds one to a counter of its thread's own; it reads no clock and shares no cache line. To take out is one compare-and-swap.
//!
//! # Differences from `tower::retry::budget`, Finagle and linkerd
//!
//! Theirs can spend at once whatever calls earned in the last window: after 10 s at 10,000 calls a second, 20,000 retries in one go,
//! which doubles the load for as long as that lasts. Here the burst is a number, 100 by default. tower rounds a ratio to one part in
//! a whole number, so that its 60 % is 100 %; here it is rounded to a millionth.
//!
//! # Examples
//!
//! ```
//! use bartizan_resilience::budget::Budget;
//!
//! let budget = Budget::builder().ratio(0.6).per_second(0).burst(3).build()?;
//! // It starts full.
//! assert!(budget.withdraw() && budget.withdraw() && budget.withdraw());
//! assert!(!budget.withdraw());
//!
//! for _ in 0..5 {
//!     budget.deposit();
//! }
//! assert_eq!(budget.available(), 3, "60 % of five");
//! assert_eq!((budget.withdrawn(), budget.refused()), (3, 1));
//! # Ok::<(), bartizan_core::ConfigError>(())
//! ```
//!
//! One account for the retries of several clients:
//!
//! ```
//! use bartizan_resilience::{budget::Budget, retry::{OnError, RetryLayer}};
//!
//! let budget = Budget::default();
//! let to_orders = RetryLayer::with_policy(OnError).budget(budget.clone()).build()?;
//! let to_users = RetryLayer::with_policy(OnError).budget(budget.clone()).build()?;
//! assert_eq!(budget.available(), 100);
//! # let _ = (to_orders, to_users);
//! # Ok::<(), bartizan_core::ConfigError>(())
//! ```

mod bucket;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_core::ConfigError;
use tokio::time::Instant;

use self::bucket::{Bucket, Flow, RETRY};

/// An account of retries. Clones share it. See the [module](self).
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    withdrawn: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// A retry for every fifth call, and ten per second, saved up to a hundred. It starts full.
    ///
    /// 20 % is what a service that is sized for its peaks can bear on top of them. Ten per second are for callers that make few
    /// calls, whose part of them is next to nothing. Ten seconds of those is about as long as a restart takes.
    pub fn new() -> Self {
        Self::of(Flow {
            per_call: RETRY / 5,
            per_second: 10,
            capacity: 100 * RETRY,
        })
    }

    /// Starts with the defaults of [`new`](Self::new).
    pub const fn builder() -> BudgetBuilder {
        BudgetBuilder {
            ratio: 0.2,
            per_second: 10,
            window: Duration::from_secs(10),
            burst: None,
        }
    }

    /// Pays in for one call. What is over the brim is lost.
    pub fn deposit(&self) {
        self.shared.bucket.deposit(crate::stripes::thread_index());
    }

    /// Takes out one retry. `false` if there is none: the call has to do with what it has.
    #[must_use = "without it there must be no retry"]
    pub fn withdraw(&self) -> bool {
        let granted = self.shared.bucket.withdraw(Instant::now());
        let counter = if granted {
            &self.shared.withdrawn
        } else {
            &self.shared.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
        granted
    }

    /// How many retries there are.
    pub fn available(&self) -> u64 {
        self.shared.bucket.available(Instant::now())
    }

    /// How many retries were taken, since the beginning.
    pub fn withdrawn(&self) -> u64 {
        self.shared.withdrawn.load(Ordering::Relaxed)
    }

    /// How many were asked for when there was none, since the beginning. What grows here is an outage.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    fn of(flow: Flow) -> Self {
        Self {
            shared: Arc::new(Shared {
                bucket: Bucket::new(flow, crate::stripes::count(), Instant::now()),
                withdrawn: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }),
        }
    }
}

/// The same as [`Budget::new`].
impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("available", &self.available())
            .field("withdrawn", &self.withdrawn())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

/// Collects the settings of a [`Budget`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it is `build` that makes the budget"]
pub struct BudgetBuilder {
    ratio: f64,
    per_second: u32,
    window: Duration,
    burst: Option<u32>,
}

impl BudgetBuilder {
    /// Sets what part of a retry each call pays in, from 0 to 10, rounded to a millionth. Default: 0.2.
    pub const fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets how many retries time pays in per second, whatever calls do. Default: 10.
    pub const fn per_second(mut self, retries: u32) -> Self {
        self.per_second = retries;
        self
    }

    /// Sets how much can be saved up, as a time: what [`per_second`](Self::per_second) pays in within it. Default: 10 s, and so 100.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets how much can be saved up, in retries, in place of [`window`](Self::window). Needed where nothing is paid in by time.
    pub const fn burst(mut self, retries: u32) -> Self {
        self.burst = Some(retries);
        self
    }

    /// The budget, full.
    ///
    /// # Errors
    ///
    /// If the ratio is not from 0 to 10, or if there is no room for a single retry.
    pub fn build(self) -> Result<Budget, ConfigError> {
        if !(0.0..=10.0).contains(&self.ratio) {
            return Err(ConfigError::new(
                "ratio",
                self.ratio,
                "a part of a retry per call, from 0 to 10",
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to ten million, and whole"
        )]
        let per_call = (self.ratio * 1e6).round() as u64;
        let capacity = match self.burst {
            Some(burst) => u64::from(burst) * RETRY,
            // Millionths per microsecond.
            None => self
                .window
                .as_micros()
                .saturating_mul(self.per_second.into())
                .try_into()
                .unwrap_or(u64::MAX),
        };
        // Above that, differences could not be told from those that wrapped round.
        let capacity = capacity.min(u64::from(u32::MAX) * RETRY);
        if capacity < RETRY {
            return Err(match self.burst {
                Some(burst) => ConfigError::new("burst", burst, "at least 1"),
                None => ConfigError::new(
                    "window",
                    format_args!("{:?}", self.window),
                    format!(
                        "a time in which {} retries per second make one at least; or set `burst`",
                        self.per_second
                    ),
                ),
            });
        }
        Ok(Budget::of(Flow {
            per_call,
            per_second: self.per_second.into(),
            capacity,
        }))
    }
}
