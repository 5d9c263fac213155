//! Our resilience layers beside their peers, in one run: `cargo bench --bench resilience`, from `bench-peers/`.
//!
//! Each contender wraps a service that is ready and answers at once. It is called by one thread, and by two that share its state, if it
//! can be shared. The contenders of a group take turns in every round, so that a machine whose speed drifts is as unfair to one as to
//! the others. Two threads that take turns on one core would look as if they never got in each other's way, so what the scheduler held up
//! is measured again, or else left out. A whole run takes a quarter of a minute, and at most two on a busy machine. Arguments name the
//! groups to run, by a part of their names: `cargo bench --bench resilience -- retry breaker`.

use std::{
    error::Error,
    fmt,
    future::{Ready, ready},
    hint::black_box,
    num::NonZeroU32,
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use bartizan_core::{Outcome, Rejection};
use bartizan_resilience::{
    self as ours, balance::Balance, circuit_breaker, endpoint::Endpoint, outlier::OutlierDetector,
};
use tokio::runtime::{Handle, Runtime};
use tower::{
    Layer, Service, ServiceBuilder,
    discover::ServiceList,
    limit::ConcurrencyLimitLayer,
    load::{CompleteOnResponse, PeakEwma},
};
use tower_resilience::{
    bulkhead::BulkheadLayer, circuitbreaker::CircuitBreakerLayer, ratelimiter::RateLimiterLayer,
    retry::RetryLayer, timelimiter::TimeLimiterLayer,
};

const ROUNDS: usize = 15;
/// Of one contender in one round: many turns of the scheduler, and a whole run takes a quarter of a minute.
const LASTS: Duration = Duration::from_millis(10);
/// Between looks at the clock.
const CALLS: u64 = 1_000;
/// How often a measurement is made again that something else on the machine got in the way of.
const TRIES: usize = 8;
/// What never gets in the way.
const PLENTY: usize = 1_000_000;
/// As `PLENTY`, where a limit is a `u32`.
const ENOUGH: u32 = 1_000_000;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    println!(
        "| group | contender | ns per call, one thread | two threads | two to one | ratio to the first |"
    );
    println!("|---|---|---|---|---|---|");
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let is_wanted =
        |group: &str| wanted.is_empty() || wanted.iter().any(|wanted| group.contains(wanted));
    for (group, contenders) in groups().into_iter().filter(|(group, _)| is_wanted(group)) {
        report(group, &contenders);
    }
}

/// Answers at once.
#[derive(Clone)]
struct Bare;

impl Service<u64> for Bare {
    type Response = u64;
    type Error = Refused;
    type Future = Ready<Result<u64, Refused>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        ready(Ok(n + 1))
    }
}

/// An error that everybody here can do with: some ask for `Clone`, ours for `From<Rejection>`.
#[derive(Clone, Debug)]
struct Refused;

impl From<Rejection> for Refused {
    fn from(_: Rejection) -> Self {
        Self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Refused {}

/// One call after another on one thread; how many is said when it is called.
type Worker = Box<dyn FnMut(u64) + Send>;

struct Contender {
    name: &'static str,
    /// One, if it cannot be shared.
    most_threads: usize,
    /// Each worker is a clone, and shares what clones share.
    worker: Box<dyn Fn() -> Worker>,
}

/// A tower service, called as a runtime would: made ready, called, polled.
fn service<S>(name: &'static str, service: S) -> Contender
where
    S: Service<u64, Response = u64> + Clone + Send + 'static,
{
    Contender {
        name,
        most_threads: 2,
        worker: Box::new(move || calls(service.clone())),
    }
}

/// A tower service that is not `Clone`: each worker has one of its own, so there is only one worker.
fn unshared<S>(name: &'static str, make: impl Fn() -> S + 'static) -> Contender
where
    S: Service<u64, Response = u64> + Send + 'static,
{
    Contender {
        name,
        most_threads: 1,
        worker: Box::new(move || calls(make())),
    }
}

/// Two clones made one after another would lie side by side, and two threads that write to their own would share a line by accident.
#[repr(align(128))]
struct Apart<T>(T);

fn calls<S>(service: S) -> Worker
where
    S: Service<u64, Response = u64> + Send + 'static,
{
    let mut service = Apart(service);
    Box::new(move |calls| {
        let Apart(service) = &mut service;
        let mut cx = Context::from_waker(Waker::noop());
        for n in 0..calls {
            while service.poll_ready(&mut cx).is_pending() {}
            let mut call = pin!(service.call(black_box(n)));
            loop {
                match call.as_mut().poll(&mut cx) {
                    Poll::Ready(Ok(response)) => {
                        black_box(response);
                        break;
                    }
                    Poll::Ready(Err(_)) => panic!("a call was refused"),
                    Poll::Pending => {}
                }
            }
        }
    })
}

/// What is no tower service: a function that makes one call.
fn function<F: Fn(u64) + Clone + Send + 'static>(name: &'static str, call: F) -> Contender {
    Contender {
        name,
        most_threads: 2,
        worker: Box::new(move || {
            let call = call.clone();
            Box::new(move |calls| (0..calls).for_each(|n| call(black_box(n))))
        }),
    }
}

fn report(group: &str, contenders: &[Contender]) {
    let mut figures: Vec<[Vec<Option<f64>>; 2]> =
        contenders.iter().map(|_| Default::default()).collect();
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            for (threads, figures) in (1..=contender.most_threads).zip(figures) {
                let figure = (0..TRIES).find_map(|_| time(contender, threads));
                if round > 0 {
                    figures.push(figure);
                }
            }
        }
    }
    let first = figures[0][0].clone();
    for (contender, [one, two]) in contenders.iter().zip(figures) {
        let (ratio, scaling) = (ratio(&one, &first), ratio(&two, &one));
        let [one, two] = [one, two].map(|figures| median(figures.into_iter().flatten()));
        println!(
            "| {group} | {} | {} | {} | {} | {} |",
            contender.name,
            show(one, 1),
            if contender.most_threads < 2 {
                "cannot".to_owned()
            } else {
                show(two, 1)
            },
            show(scaling, 2),
            show(ratio, 2),
        );
    }
}

/// The median of the ratios within a round.
fn ratio(figures: &[Option<f64>], to: &[Option<f64>]) -> Option<f64> {
    median(
        figures
            .iter()
            .zip(to)
            .filter_map(|(figure, to)| Some((*figure)? / (*to)?)),
    )
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

fn show(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.digits$}"))
}

/// Nanoseconds per call of the slowest of so many threads, unless the scheduler held one up.
fn time(contender: &Contender, threads: usize) -> Option<f64> {
    let start = Arc::new(Barrier::new(threads));
    let runtime = Handle::current();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (start, runtime, mut worker) =
                (Arc::clone(&start), runtime.clone(), (contender.worker)());
            thread::spawn(move || {
                let _entered = runtime.enter();
                start.wait();
                let (waited, started, mut calls) = (waited(), Instant::now(), 0);
                while started.elapsed() < LASTS {
                    worker(CALLS);
                    calls += CALLS;
                }
                let ended = Instant::now();
                let waited = self::waited().saturating_sub(waited);
                (started, ended, waited, calls)
            })
        })
        .collect();
    let runs: Vec<_> = workers
        .into_iter()
        .map(|worker| worker.join().expect("no call is refused"))
        .collect();
    let together = runs
        .iter()
        .map(|run| run.1)
        .min()?
        .saturating_duration_since(runs.iter().map(|run| run.0).max()?);
    let mut slowest = 0.0_f64;
    for (started, ended, waited, calls) in runs {
        let lasted = ended - started;
        if waited > lasted / 10 || together < lasted * 8 / 10 {
            return None;
        }
        slowest = slowest.max(lasted.as_secs_f64() * 1e9 / calls as f64);
    }
    Some(slowest)
}

/// How long this thread has been ready to run and was not let. Zero where the system does not say.
fn waited() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat
        .split_whitespace()
        .nth(1)
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn groups() -> Vec<(&'static str, Vec<Contender>)> {
    vec![
        ("none", nothing()),
        ("timeout", timeouts()),
        ("circuit breaker", breakers()),
        ("retry", retries()),
        ("concurrency limit", limits()),
        ("rate limit", rate_limits()),
        ("the four: timeout, retry, breaker, limit", fours()),
        ("balancer, 2 endpoints", balancers(2)),
        ("balancer, 10 endpoints", balancers(10)),
        ("balancer, 100 endpoints", balancers(100)),
        ("others", others()),
    ]
}

const LIMIT: Duration = Duration::from_secs(5);

fn our_retry() -> ours::retry::RetryLayer<ours::retry::OnError> {
    ours::retry::RetryLayer::with_policy(ours::retry::OnError)
        .build()
        .expect("its defaults")
}

fn our_limit() -> ours::bulkhead::BulkheadLayer {
    ours::bulkhead::BulkheadLayer::try_new(ENOUGH).expect("a limit")
}

fn their_timeout() -> TimeLimiterLayer {
    TimeLimiterLayer::builder().timeout_duration(LIMIT).build()
}

fn their_breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder()
        .build()
        .expect("its defaults")
}

/// What nothing costs, and what two threads cost one another on this machine at this time, when they share nothing.
fn nothing() -> Vec<Contender> {
    let clock = |_| {
        black_box(Instant::now());
    };
    vec![
        service("bare", Bare),
        function("a look at the clock", clock),
    ]
}

fn timeouts() -> Vec<Contender> {
    vec![
        service(
            "bartizan",
            ours::timeout::TimeoutLayer::new(LIMIT).layer(Bare),
        ),
        service("tower", tower::timeout::Timeout::new(Bare, LIMIT)),
        service("tower-resilience", their_timeout().layer(Bare)),
    ]
}

fn breakers() -> Vec<Contender> {
    let failsafe = Arc::new(failsafe::Config::new().build());
    let recloser = Arc::new(recloser::Recloser::custom().build());
    vec![
        service(
            "bartizan",
            circuit_breaker::CircuitBreakerLayer::new().layer(Bare),
        ),
        service("tower-resilience", their_breaker().layer(Bare)),
        function("failsafe", move |n| {
            use failsafe::CircuitBreaker;
            let _ = black_box(failsafe.call(|| Ok::<_, Refused>(n + 1)));
        }),
        function("recloser", move |n| {
            let _ = black_box(recloser.call(|| Ok::<_, Refused>(n + 1)));
        }),
    ]
}

fn retries() -> Vec<Contender> {
    let without = ours::retry::RetryLayer::with_policy(ours::retry::OnError)
        .no_budget()
        .build();
    let theirs: RetryLayer<u64, u64, Refused> = RetryLayer::builder().max_attempts(3).build();
    vec![
        service("bartizan, with its budget", our_retry().layer(Bare)),
        service(
            "bartizan, without a budget",
            without.expect("its defaults").layer(Bare),
        ),
        service("tower-resilience, without a budget", theirs.layer(Bare)),
    ]
}

fn limits() -> Vec<Contender> {
    let theirs = BulkheadLayer::builder()
        .max_concurrent_calls(PLENTY)
        .build();
    vec![
        service("bartizan", our_limit().layer(Bare)),
        service("tower", ConcurrencyLimitLayer::new(PLENTY).layer(Bare)),
        service("tower-resilience", theirs.expect("a limit").layer(Bare)),
    ]
}

fn rate_limits() -> Vec<Contender> {
    // Its highest rate is lower than what is asked of it here, so it is the burst that never gets used up.
    let quota = ours::rate_limit::Quota::try_per_second(10_000_000)
        .and_then(|quota| quota.try_burst(u32::MAX));
    let theirs = RateLimiterLayer::builder()
        .limit_for_period(usize::MAX / 2)
        .refresh_period(Duration::from_secs(1))
        .build();
    let governor = governor::RateLimiter::direct(governor::Quota::per_second(NonZeroU32::MAX));
    let governor = Arc::new(governor);
    vec![
        service(
            "bartizan",
            ours::rate_limit::RateLimitLayer::new(quota.expect("a quota")).layer(Bare),
        ),
        service("tower-resilience", theirs.expect("a limit").layer(Bare)),
        function("governor", move |_| {
            let _ = black_box(governor.check());
        }),
    ]
}

fn fours() -> Vec<Contender> {
    // Retry is outermost, and the breaker above the timeout, to see timeouts.
    let ours = ServiceBuilder::new()
        .layer(our_retry())
        .layer(circuit_breaker::CircuitBreakerLayer::new())
        .layer(ours::timeout::TimeoutLayer::new(LIMIT))
        .layer(our_limit())
        .service(Bare);
    // Theirs nest their errors; the timeout is outermost, as they advise.
    let limit = BulkheadLayer::builder()
        .max_concurrent_calls(PLENTY)
        .build();
    let breaker = their_breaker().layer(limit.expect("a limit").layer(Bare));
    let retry = RetryLayer::builder().max_attempts(3).build().layer(breaker);
    vec![
        service("bartizan", ours),
        service("tower-resilience", their_timeout().layer(retry)),
    ]
}

/// Both pick the better of two by peak EWMA, with the same decay and the same guess for what was not measured.
fn balancers(endpoints: usize) -> Vec<Contender> {
    let mut ours = Balance::builder();
    for n in 0..endpoints {
        ours = ours.endpoint(Endpoint::new(n.to_string()), Bare);
    }
    let theirs = move || {
        let (guess, decay) = (Duration::from_millis(30), 10e9);
        let measured = |_| PeakEwma::new(Bare, guess, decay, CompleteOnResponse::default());
        let list: Vec<_> = (0..endpoints).map(measured).collect();
        tower::balance::p2c::Balance::<_, u64>::new(ServiceList::new::<u64>(list))
    };
    vec![
        service("bartizan", ours.build().expect("endpoints")),
        unshared("tower, which is not Clone", theirs),
    ]
}

/// What has no peer that does the same. The ratios are to the first, which does something else.
fn others() -> Vec<Contender> {
    let hedge = ours::hedge::HedgeLayer::builder(|n: &u64| Some(*n)).build();
    let throttle = ours::throttle::ThrottleLayer::builder()
        .classify(|result: Result<&u64, &Refused>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        })
        .build();
    let outlier = OutlierDetector::default().layer(&Endpoint::new("a"));
    vec![
        service(
            "adaptive limit",
            ours::adaptive_limit::AdaptiveLimitLayer::default().layer(Bare),
        ),
        service("hedge", hedge.expect("its defaults").layer(Bare)),
        service(
            "shed",
            ours::shed::ShedLayer::try_new(PLENTY)
                .expect("a limit")
                .layer(Bare),
        ),
        service("throttle", throttle.expect("its defaults").layer(Bare)),
        service("outlier ejection", outlier.layer(Bare)),
    ]
}
