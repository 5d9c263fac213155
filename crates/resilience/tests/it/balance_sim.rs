//! A seeded simulation of balancers in front of backends, under paused time. The benchmark `balance` prints what the tests assert.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::BoxError;
use bartizan_resilience::{
    balance::{Balance, Picker, Prepare},
    endpoint::Endpoint,
};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceExt};

/// What a backend does with a call that comes so long after the start.
pub(crate) type Behaviour = fn(backend: usize, at: Duration) -> Answer;

/// Takes that long, with that deviation, and then answers or fails.
pub(crate) struct Answer {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) is_error: bool,
}

/// An answer after a normally distributed time, in milliseconds.
pub(crate) const fn answer(mean: f64, deviation: f64) -> Answer {
    Answer {
        mean,
        deviation,
        is_error: false,
    }
}

pub(crate) struct Scenario {
    #[allow(dead_code, reason = "the benchmark prints it")]
    pub(crate) name: &'static str,
    pub(crate) backends: usize,
    pub(crate) behaviour: Behaviour,
    /// Calls per second, at random moments, of all balancers together.
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
    /// Each with a list of its own, as in so many processes.
    pub(crate) balancers: usize,
}

/// One of eleven gets stuck for half of the time.
pub(crate) const STUCK: Scenario = Scenario {
    name: "one of eleven stuck at 2 s for 30 of 60 s",
    backends: 11,
    behaviour: |backend, at| match (backend, at.as_secs()) {
        (0, 15..45) => answer(2000.0, 0.0),
        _ => answer(167.0, 5.0),
    },
    rate: 1000.0,
    duration: Duration::from_secs(60),
    balancers: 1,
};

/// One of ten is three times as slow as the others.
pub(crate) const SLOW: Scenario = Scenario {
    name: "one of ten 3 times slower, 20 balancers",
    backends: 10,
    behaviour: |backend, _| match backend {
        0 => answer(84.0, 3.0),
        _ => answer(28.0, 1.0),
    },
    rate: 3000.0,
    duration: Duration::from_secs(30),
    balancers: 20,
};

/// One of ten fails, and very fast.
pub(crate) const FAILING: Scenario = Scenario {
    name: "one of ten fails in 1 ms",
    backends: 10,
    behaviour: |backend, _| match backend {
        0 => Answer {
            is_error: true,
            ..answer(1.0, 0.0)
        },
        _ => answer(20.0, 2.0),
    },
    rate: 1000.0,
    duration: Duration::from_secs(60),
    balancers: 1,
};

/// What the callers saw.
pub(crate) struct Outcome {
    /// Of all calls, in order.
    latencies: Vec<Duration>,
    errors: usize,
}

impl Outcome {
    /// The latency that this share of all calls did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies[rank.clamp(1, self.latencies.len()) - 1]
    }

    /// The share of calls that were answered within that time.
    pub(crate) fn within(&self, limit: Duration) -> f64 {
        let within = self.latencies.partition_point(|&latency| latency <= limit);
        within as f64 / self.latencies.len() as f64
    }

    pub(crate) fn error_share(&self) -> f64 {
        self.errors as f64 / self.latencies.len() as f64
    }
}

#[derive(Clone)]
struct Backend {
    index: usize,
    behaviour: Behaviour,
    started: Instant,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl Service<()> for Backend {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let answer = (self.behaviour)(self.index, self.started.elapsed());
        let normal = {
            let mut rng = self.rng.lock().expect("no panic");
            // The sum of twelve uniform numbers is near enough to a normal one.
            (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
        };
        let millis = (answer.mean + answer.deviation * normal).max(0.0);
        Box::pin(async move {
            sleep(Duration::from_secs_f64(millis / 1000.0)).await;
            if answer.is_error {
                Err("it fails".into())
            } else {
                Ok(())
            }
        })
    }
}

/// Runs a scenario in a runtime of its own. The same seed makes the same outcome.
pub(crate) fn run<P>(scenario: &Scenario, seed: u64, picker: impl Fn() -> P) -> Outcome
where
    P: Prepare + Picker<()> + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(simulate(scenario, seed, picker))
}

async fn simulate<P>(scenario: &Scenario, seed: u64, picker: impl Fn() -> P) -> Outcome
where
    P: Prepare + Picker<()> + Send + Sync + 'static,
{
    let started = Instant::now();
    let mut rng = fastrand::Rng::with_seed(seed);
    let backends: Vec<Backend> = (0..scenario.backends)
        .map(|index| Backend {
            index,
            behaviour: scenario.behaviour,
            started,
            rng: Arc::new(Mutex::new(rng.fork())),
        })
        .collect();
    let balancers: Vec<Balance<Backend, P>> = (0..scenario.balancers)
        .map(|_| {
            let builder = Balance::builder().picker(picker()).seed(rng.u64(..));
            let builder = backends.iter().fold(builder, |builder, backend| {
                let name = format!("backend-{}", backend.index);
                builder.endpoint(Endpoint::new(name), backend.clone())
            });
            builder.build().expect("backends")
        })
        .collect();

    let mut calls = tokio::task::JoinSet::new();
    let mut next = started;
    loop {
        next += Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / scenario.rate);
        if next >= started + scenario.duration {
            break;
        }
        sleep_until(next).await;
        let balancer = balancers[rng.usize(..balancers.len())].clone();
        calls.spawn(async move {
            let called = Instant::now();
            let result = balancer.oneshot(()).await;
            (called.elapsed(), result.is_err())
        });
    }
    let (mut latencies, errors): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().unzip();
    latencies.sort_unstable();
    Outcome {
        latencies,
        errors: errors.into_iter().filter(|&is_error| is_error).count(),
    }
}
