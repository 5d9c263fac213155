//! Resolvers and what is remembered of them.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_client::dns::{Answer, CacheLayer, Cached, Name};
use bartizan_core::BoxError;
use futures_util::future::join_all;
use tokio::{sync::oneshot, time};
use tower::{Layer, ServiceExt};

const S: fn(u64) -> Duration = Duration::from_secs;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Answers as a script says, when it says so, and counts.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Line>>>,
    lookups: Arc<AtomicUsize>,
}

impl Script {
    fn then(self, after: Duration, answer: Result<Answer, &'static str>) -> Self {
        let mut answers = self.answers.lock().expect("no panic");
        answers.push_back((after, answer.map_err(Into::into)));
        drop(answers);
        self
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }

    fn cached(&self, layer: &CacheLayer) -> impl Fn() -> Asked + use<> {
        let this = self.clone();
        let resolver = tower::service_fn(move |_: Name| {
            this.lookups.fetch_add(1, Ordering::SeqCst);
            let next = this.answers.lock().expect("no panic").pop_front();
            async move {
                let (after, answer) = next.expect("an answer in the script");
                time::sleep(after).await;
                answer
            }
        });
        let cached = layer.layer(resolver);
        move || {
            let name: Name = "a.example".parse().expect("a name");
            Box::pin(cached.clone().oneshot(name))
        }
    }
}

type Line = (Duration, Result<Answer, BoxError>);

type Asked = std::pin::Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_make_one_lookup() {
    let script = Script::default().then(S(1), Ok(Answer::new([ip("10.0.0.1")])));
    let ask = script.cached(&CacheLayer::new());
    let answers = join_all((0..100).map(|_| ask())).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|a| a.addresses().len() == 1))
    );
    assert_eq!(script.lookups(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_takes_nothing_from_those_who_wait() {
    let script = Script::default().then(S(1), Ok(Answer::new([ip("10.0.0.1")])));
    let ask = script.cached(&CacheLayer::new());
    let first = tokio::spawn(ask());
    tokio::task::yield_now().await;
    let second = tokio::spawn(ask());
    first.abort();
    assert!(second.await.expect("no panic").is_ok());
    assert_eq!(script.lookups(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_in_use_never_waits_again() {
    let mut script = Script::default();
    for n in 1..=4_u8 {
        script = script.then(S(2), Ok(Answer::new([IpAddr::from([10, 0, 0, n])])));
    }
    let ask = script.cached(&CacheLayer::new());
    ask().await.expect("the first, which waits");
    for second in 0..85 {
        let asked = time::Instant::now();
        ask().await.expect("known");
        assert_eq!(asked.elapsed(), Duration::ZERO, "at {second} s");
        time::advance(S(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(script.lookups(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_asked_about_again_after_two_seconds() {
    let script = Script::default()
        .then(S(0), Err("NXDOMAIN"))
        .then(S(0), Ok(Answer::new([ip("10.0.0.1")])));
    let ask = script.cached(&CacheLayer::new());
    for _ in 0..3 {
        let error = ask().await.expect_err("no such name");
        assert_eq!(error.source().expect("the cause").to_string(), "NXDOMAIN");
    }
    assert_eq!(script.lookups(), 1);
    time::advance(S(2)).await;
    assert!(ask().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_family_does_not_wait_for_the_other() {
    let six = async {
        time::sleep(S(3)).await;
        Ok(Answer::new([ip("::1")]))
    };
    let answer = Answer::new([ip("10.0.0.1")]).with_rest(six);
    let script = Script::default().then(S(1), Ok(answer));
    let ask = script.cached(&CacheLayer::new());
    let started = time::Instant::now();
    let first = ask().await.expect("IPv4");
    assert_eq!(
        (first.addresses(), started.elapsed()),
        (&[ip("10.0.0.1")][..], S(1))
    );
    let second = ask().await.expect("IPv4, joined");
    for answer in [first, second] {
        let whole = answer.complete().await.expect("both");
        assert_eq!(whole.addresses(), [ip("10.0.0.1"), ip("::1")]);
    }
    assert_eq!((started.elapsed(), script.lookups()), (S(4), 1));
    assert_eq!(ask().await.expect("known").addresses().len(), 2);
}

#[tokio::test]
async fn a_resolver_that_panics_is_asked_again() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let (ended, mut end) = oneshot::channel::<()>();
    let ended = Arc::new(Mutex::new(Some(ended)));
    let counted = Arc::clone(&lookups);
    let resolver = tower::service_fn(move |_: Name| {
        let ended = ended.lock().expect("no panic").take();
        let n = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let _ended = ended;
            assert!(n > 0, "the first");
            Ok::<_, BoxError>(Answer::new([ip("10.0.0.1")]))
        }
    });
    let cached: Cached<_> = CacheLayer::new().layer(resolver);
    let ask = || {
        cached
            .clone()
            .oneshot("a.example".parse::<Name>().expect("a name"))
    };
    let error = ask().await.expect_err("a panic");
    assert!(error.to_string().contains("panicked"), "{error}");
    (&mut end).await.expect_err("its task is gone");
    assert!(ask().await.is_ok());
    assert_eq!(lookups.load(Ordering::SeqCst), 2);
    cached.clear();
    assert!(ask().await.is_ok());
    assert_eq!(lookups.load(Ordering::SeqCst), 3);
}

#[cfg(feature = "hickory")]
mod hickory {
    use std::net::{Ipv4Addr, SocketAddr};

    use bartizan_client::dns::HickoryResolver;
    use tokio::net::UdpSocket;

    use super::*;

    const A: u8 = 1;
    const AAAA: u8 = 28;

    /// A name server with one record for each type of query that has one; the others get an empty answer. Those of one type wait for
    /// `gate`.
    async fn name_server(
        records: &'static [(u8, u8, &'static [u8])],
        gated: u8,
        gate: oneshot::Receiver<()>,
    ) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let addr = socket.local_addr().expect("an address");
        let socket = Arc::new(socket);
        let mut gate = Some(gate);
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut query).await {
                let name_length = query[12..n]
                    .iter()
                    .position(|byte| *byte == 0)
                    .expect("a name");
                let end_of_question = 12 + name_length + 1 + 4;
                let kind = query[end_of_question - 3];
                let record = records.iter().find(|(own, ..)| *own == kind);
                // A response that is recursive, with one question and perhaps one answer.
                let mut answer = query[..2].to_vec();
                answer.extend([0x81, 0x80, 0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]);
                answer.extend(&query[12..end_of_question]);
                if let Some((kind, ttl, data)) = record {
                    let length = u8::try_from(data.len()).expect("an address");
                    answer.extend([0xc0, 12, 0, *kind, 0, 1, 0, 0, 0, *ttl, 0, length]);
                    answer.extend(*data);
                }
                let gate = if kind == gated { gate.take() } else { None };
                let socket = Arc::clone(&socket);
                tokio::spawn(async move {
                    if let Some(gate) = gate {
                        let _ = gate.await;
                    }
                    socket.send_to(&answer, from).await.expect("sent");
                });
            }
        });
        addr
    }

    async fn ask(server: SocketAddr) -> Result<Answer, BoxError> {
        let resolver = HickoryResolver::try_with_servers([server]).expect("a resolver");
        resolver.oneshot("a.example".parse().expect("a name")).await
    }

    #[tokio::test]
    async fn the_first_family_does_not_wait_for_the_other() {
        let (open, gate) = oneshot::channel();
        const SIX: &[u8] = &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let server = name_server(&[(A, 60, &[10, 0, 0, 1]), (AAAA, 30, SIX)], AAAA, gate).await;
        let answer = ask(server).await.expect("IPv4");
        assert_eq!(answer.addresses(), [ip("10.0.0.1")]);
        assert_eq!(answer.ttl(), Some(S(60)));
        open.send(()).expect("it waits");
        let whole = answer.complete().await.expect("both");
        assert_eq!(whole.addresses(), [ip("10.0.0.1"), ip("2001:db8::1")]);
        assert_eq!(whole.ttl(), Some(S(30)));
    }

    #[tokio::test]
    async fn a_family_that_is_missing_is_no_failure() {
        let (_, gate) = oneshot::channel();
        let server = name_server(&[(A, 60, &[10, 0, 0, 1])], 0, gate).await;
        let whole = ask(server)
            .await
            .expect("IPv4")
            .complete()
            .await
            .expect("IPv4");
        assert_eq!(whole.addresses(), [ip("10.0.0.1")]);
        let (_, gate) = oneshot::channel();
        ask(name_server(&[], 0, gate).await)
            .await
            .expect_err("neither");
    }

    #[test]
    fn no_name_server_is_an_error() {
        let error = HickoryResolver::try_with_servers([]).expect_err("none");
        assert_eq!(error.field(), "servers");
    }
}
