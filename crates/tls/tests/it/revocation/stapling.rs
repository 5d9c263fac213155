//! The staple of one's own certificate.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bartizan_tls::{
    Identity,
    revocation::{Stapler, StaplerBuilder, StaplingHandle},
};
use tokio::{task::JoinHandle, time::Instant};
use x509_cert::ext::pkix::CrlReason;
use x509_ocsp::CertStatus;

use super::pki::{Ca, DAY, HOUR, Response, Web, Wish, at, provider, revoked};

const RESPONDER: &str = "http://ca/ocsp";

fn wish() -> Wish {
    Wish {
        responder: Some(RESPONDER),
        ..Wish::default()
    }
}

/// Wall time that goes with the paused time of the runtime. Begins at the time of the tests.
fn clock() -> impl Fn() -> SystemTime + Clone + Send + Sync + 'static {
    let started = Instant::now();
    move || at(0) + started.elapsed()
}

/// Answers that are of the time when they are asked for, for 10 hours.
fn responder(ca: &Arc<Ca>) -> Web {
    let (ca, clock) = (Arc::clone(ca), clock());
    Web::new(move |_| Ok(answer(&ca, offset(clock()), 10 * HOUR)))
}

fn offset(now: SystemTime) -> i64 {
    let since = now.duration_since(at(0)).expect("time goes on");
    i64::try_from(since.as_secs()).expect("not for ever")
}

fn answer(ca: &Ca, from: i64, validity: i64) -> Vec<u8> {
    Response {
        from,
        produced: from,
        until: Some(from + validity),
        ..Response::new(ca, 7)
    }
    .der()
}

fn builder(identity: &Identity, web: &Web) -> StaplerBuilder {
    let builder = Stapler::builder(&provider(), identity).fetcher(web.clone());
    builder.clock(clock())
}

/// A stapler at work.
fn spawn(stapler: Stapler) -> (StaplingHandle, JoinHandle<std::convert::Infallible>) {
    (stapler.handle(), tokio::spawn(stapler.run()))
}

async fn pass(seconds: i64) {
    tokio::time::sleep(Duration::from_secs(
        u64::try_from(seconds).expect("forward"),
    ))
    .await;
}

/// A file of the test's own, removed with it.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-staple-{}-{count}.der", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // There may be none.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn without_somebody_to_ask_there_is_nothing_to_build() {
    let (ca, other) = (Ca::root("ca"), Ca::root("ca"));
    let (web, identity) = (Web::down(), ca.identity(7, &wish()));
    let field = |builder: StaplerBuilder| builder.build().expect_err("nobody").field().to_owned();
    assert_eq!(field(Stapler::builder(&provider(), &identity)), "fetcher");
    let started = || Stapler::builder(&provider(), &identity).fetcher(web.clone());
    assert_eq!(field(started().issuer(other.der.clone())), "issuer");
    assert_eq!(field(started().issuer(b"nonsense".to_vec())), "issuer");
    assert_eq!(
        field(started().fetch_timeout(Duration::ZERO)),
        "fetch_timeout"
    );
    let mute = ca.identity(7, &Wish::default());
    assert_eq!(
        field(Stapler::builder(&provider(), &mute).fetcher(web.clone())),
        "identity"
    );
    assert!(started().build().is_ok());
    assert!(started().issuer(ca.der.clone()).build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn it_is_primed_before_serving_and_the_wait_is_bounded() {
    let ca = Arc::new(Ca::root("ca"));
    let identity = ca.identity(7, &wish());
    let staple = answer(&ca, 0, 10 * HOUR);
    let mut stapler = builder(&identity, &Web::of(staple.clone()))
        .build()
        .expect("a stapler");
    assert!(stapler.handle().response().is_none());
    stapler
        .prime(Duration::from_secs(5))
        .await
        .expect("a staple");
    assert_eq!(stapler.handle().response().expect("a staple"), staple);
    assert_eq!(stapler.handle().until(), Some(at(10 * HOUR - 300)));

    let silent =
        tower::service_fn(|_| std::future::pending::<Result<bytes::Bytes, std::io::Error>>());
    let stapler = Stapler::builder(&provider(), &identity)
        .fetcher(silent)
        .build();
    let started = Instant::now();
    let error = stapler
        .expect("a stapler")
        .prime(Duration::from_secs(5))
        .await;
    assert_eq!(
        error.expect_err("silence").to_string(),
        "the responder did not answer within 5s"
    );
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn it_is_refreshed_at_half_of_its_validity() {
    let ca = Arc::new(Ca::root("ca"));
    let identity = ca.identity(7, &wish());
    let web = responder(&ca);
    let (handle, running) = spawn(builder(&identity, &web).build().expect("a stapler"));
    pass(1).await;
    assert_eq!(web.asked(), [RESPONDER]);
    assert_eq!(handle.this_update(), Some(at(0)));
    pass(10 * HOUR * 45 / 100 - 60).await;
    assert_eq!(web.asked().len(), 1);
    pass(HOUR + 120).await;
    assert_eq!(web.asked().len(), 2);
    assert!(handle.this_update() > Some(at(4 * HOUR)));
    // For days.
    for _ in 0..100 {
        pass(HOUR).await;
        assert!(handle.until() > Some(at(0)), "there is always one");
    }
    assert!(
        (20..=25).contains(&web.asked().len()),
        "{}",
        web.asked().len()
    );
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn while_the_responder_is_down_it_stays_until_shortly_before_its_end() {
    let ca = Arc::new(Ca::root("ca"));
    let identity = ca.identity(7, &wish());
    let web = responder(&ca);
    let (handle, running) = spawn(builder(&identity, &web).build().expect("a stapler"));
    pass(1).await;
    web.set(|_| Err("it is down".into()));
    pass(10 * HOUR - 300 - 2).await;
    assert!(handle.response().is_some());
    // 1, 2, 4, … 60 minutes apart.
    assert!(
        (9..=12).contains(&web.asked().len()),
        "{}",
        web.asked().len()
    );
    pass(2).await;
    assert!(handle.response().is_none());
    // It comes back within an hour.
    let signer = Arc::clone(&ca);
    web.set(move |_| Ok(answer(&signer, 10 * HOUR, 10 * HOUR)));
    pass(HOUR).await;
    assert!(handle.response().is_some());
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn only_what_clients_will_believe_is_stapled() {
    let (ca, other) = (Ca::root("ca"), Ca::root("ca"));
    let identity = ca.identity(7, &wish());
    for (what, response) in [
        (
            "unknown",
            Response {
                status: CertStatus::unknown(),
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        ("revoked", Response::revoked(&ca, 7).der()),
        ("about another", Response::new(&ca, 8).der()),
        (
            "signed by a stranger",
            Response {
                key: other.key(),
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        (
            "without an end",
            Response {
                until: None,
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        (
            "out of date",
            Response {
                until: Some(-1),
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        (
            "out of date soon",
            Response {
                until: Some(299),
                from: -DAY,
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        ("nonsense", b"nonsense".to_vec()),
    ] {
        let mut stapler = builder(&identity, &Web::of(response))
            .build()
            .expect("a stapler");
        assert!(
            stapler.prime(Duration::from_secs(5)).await.is_err(),
            "{what}"
        );
        assert!(stapler.handle().response().is_none(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_takes_the_staple_away_and_an_older_one_does_not_replace_it() {
    let ca = Arc::new(Ca::root("ca"));
    let identity = ca.identity(7, &wish());
    let web = responder(&ca);
    let (handle, running) = spawn(builder(&identity, &web).build().expect("a stapler"));
    pass(1).await;
    let signer = Arc::clone(&ca);
    web.set(move |_| Ok(answer(&signer, -HOUR, 20 * HOUR)));
    pass(6 * HOUR).await;
    assert!(web.asked().len() > 1);
    assert_eq!(handle.this_update(), Some(at(0)));
    let signer = Arc::clone(&ca);
    web.set(move |_| {
        Ok(Response {
            status: revoked(CrlReason::KeyCompromise),
            ..Response::new(&signer, 7)
        }
        .der())
    });
    pass(HOUR).await;
    assert!(handle.response().is_none());
    running.abort();
}

#[tokio::test]
async fn it_is_kept_in_a_file_and_verified_when_it_is_read() {
    let ca = Arc::new(Ca::root("ca"));
    let (identity, file) = (ca.identity(7, &wish()), File::new());
    let with_file = |web: &Web| {
        let builder = Stapler::builder(&provider(), &identity)
            .fetcher(web.clone())
            .clock(|| at(0));
        builder.file(&file.0).build().expect("a stapler")
    };
    let staple = answer(&ca, 0, 10 * HOUR);
    let up = Web::of(staple.clone());
    with_file(&up)
        .prime(Duration::from_secs(60))
        .await
        .expect("a staple");
    assert_eq!(std::fs::read(&file.0).expect("a file"), staple);

    // Another process, while the responder is down.
    let down = Web::down();
    let mut stapler = with_file(&down);
    stapler
        .prime(Duration::from_secs(60))
        .await
        .expect("the one that was kept");
    assert_eq!(stapler.handle().response().expect("a staple"), staple);
    assert!(down.asked().is_empty());

    let mut damaged = staple.clone();
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    for (what, content) in [
        ("damaged", damaged),
        ("out of date", answer(&ca, -20 * HOUR, 10 * HOUR)),
        ("another's", Response::new(&ca, 8).der()),
        ("large", vec![0x30; 100_000]),
    ] {
        std::fs::write(&file.0, content).expect("a file");
        let mut stapler = with_file(&down);
        assert!(
            stapler.prime(Duration::from_secs(60)).await.is_err(),
            "{what}"
        );
        // And replaced.
        with_file(&up)
            .prime(Duration::from_secs(60))
            .await
            .expect("a staple");
        assert_eq!(std::fs::read(&file.0).expect("a file"), staple, "{what}");
    }
}
