//! The schedule, played with real attempts.

use std::{
    error, fmt,
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::Poll,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    HappyEyeballs,
    schedule::{Schedule, Step},
};
use crate::dns::Answer;

/// Tries the addresses of `answer` until one gives a connection; the others are dropped then. `None` if none did.
///
/// What came of each attempt is in `attempts`, also after the race was dropped. The rest of the answer is waited for until
/// `resolve_until`.
pub(crate) async fn race<T, F>(
    settings: HappyEyeballs,
    answer: Answer,
    resolve_until: Option<Instant>,
    port: u16,
    dial: impl Fn(SocketAddr) -> F + Send + Sync,
    attempts: &mut Attempts,
) -> Option<T>
where
    F: Future<Output = io::Result<T>> + Send,
{
    let mut schedule = Schedule::new(settings);
    let mut rest = answer.rest;
    schedule.add(Instant::now(), &answer.addresses, rest.is_none());
    let mut resolve_limit = resolve_until.map(|until| Box::pin(sleep_until(until)));
    let mut running: Vec<(IpAddr, Pin<Box<F>>)> = Vec::new();
    let mut timer: Option<Pin<Box<Sleep>>> = None;

    poll_fn(|cx| {
        loop {
            if let Some(lookup) = &mut rest {
                match lookup.as_mut().poll(cx) {
                    Poll::Ready(Ok(more)) => {
                        rest = more.rest;
                        schedule.add(Instant::now(), &more.addresses, rest.is_none());
                        continue;
                    }
                    Poll::Ready(Err(_)) => rest = None,
                    Poll::Pending => {
                        if let Some(limit) = &mut resolve_limit {
                            if limit.as_mut().poll(cx).is_ready() {
                                rest = None;
                            }
                        }
                    }
                }
                if rest.is_none() {
                    schedule.resolved(Instant::now());
                }
            }
            let mut n = 0;
            while n < running.len() {
                match running[n].1.as_mut().poll(cx) {
                    Poll::Ready(Ok(connection)) => return Poll::Ready(Some(connection)),
                    Poll::Ready(Err(error)) => {
                        let (address, _) = running.swap_remove(n);
                        attempts.failed(address, error);
                        schedule.failed();
                    }
                    Poll::Pending => n += 1,
                }
            }
            match schedule.step(Instant::now()) {
                Step::Start(address) => {
                    let address = SocketAddr::new(address, port);
                    attempts.0.push((address, None));
                    running.push((address.ip(), Box::pin(dial(address))));
                }
                Step::Wait(None) => return Poll::Pending,
                Step::Wait(Some(until)) => {
                    let timer = match &mut timer {
                        Some(timer) => {
                            if timer.deadline() != until {
                                timer.as_mut().reset(until);
                            }
                            timer
                        }
                        none => none.insert(Box::pin(sleep_until(until))),
                    };
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Step::Exhausted => return Poll::Ready(None),
            }
        }
    })
    .await
}

/// The addresses that were tried in vain, and what came of each: a source of an [`Error`](crate::Error) that [is of
/// connecting](crate::Error::is_connect).
///
/// ```
/// use bartizan_client::connect::{Attempts, Destination, SocketConnector};
/// use bartizan_core::find;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let address = bartizan_testing::refused_addr();
/// let destination = Destination::of(&format!("http://{address}/").parse().unwrap()).unwrap();
///
/// let error = SocketConnector::new().oneshot(destination).await.unwrap_err();
/// let attempts: Vec<_> = find::<Attempts>(&error).unwrap().iter().collect();
/// assert_eq!(attempts.len(), 1);
/// assert_eq!(attempts[0].0, address);
/// assert_eq!(attempts[0].1.unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Attempts(Vec<(SocketAddr, Option<io::Error>)>);

impl Attempts {
    /// Each address, in the order in which they were tried, with its error, or `None` where there was no answer yet.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, Option<&io::Error>)> {
        self.0
            .iter()
            .map(|(address, error)| (*address, error.as_ref()))
    }

    fn failed(&mut self, address: IpAddr, error: io::Error) {
        let attempt = self.0.iter_mut().find(|(tried, _)| tried.ip() == address);
        if let Some((_, outcome)) = attempt {
            *outcome = Some(error);
        }
    }

    /// The last that failed, whose error is the source.
    fn last(&self) -> Option<usize> {
        self.0.iter().rposition(|(_, error)| error.is_some())
    }
}

/// Each address with its failure, except that of the source, which comes last and without.
impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last();
        let mut is_first = true;
        for (n, (address, error)) in self.0.iter().enumerate() {
            if Some(n) == last {
                continue;
            }
            if !is_first {
                f.write_str(", ")?;
            }
            is_first = false;
            match error {
                Some(error) => write!(f, "{address}: {error}")?,
                None => write!(f, "{address}: no answer")?,
            }
        }
        match last {
            Some(last) if is_first => write!(f, "{}", self.0[last].0),
            Some(last) => write!(f, ", {}", self.0[last].0),
            None if is_first => f.write_str("no address was tried"),
            None => Ok(()),
        }
    }
}

impl error::Error for Attempts {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let error = self.0[self.last()?].1.as_ref()?;
        Some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::{
        error::Error as _,
        future::{pending, ready},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace()
            .map(|ip| ip.parse().expect("an address"))
            .collect()
    }

    /// Connects to 10.0.0.n after n × 100 ms, is refused by `::n` after as many, and hears nothing of any other.
    async fn dial(address: SocketAddr, alive: Arc<AtomicUsize>) -> io::Result<IpAddr> {
        struct Guard(Arc<AtomicUsize>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        alive.fetch_add(1, Ordering::SeqCst);
        let _guard = Guard(alive);
        match address.ip() {
            IpAddr::V4(ip) if ip.octets()[0] == 10 => {
                tokio::time::sleep(MS(100) * u32::from(ip.octets()[3])).await;
                Ok(address.ip())
            }
            IpAddr::V6(ip) => {
                tokio::time::sleep(MS(100) * u32::from(ip.segments()[7])).await;
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            IpAddr::V4(_) => pending().await,
        }
    }

    async fn run(answer: Answer, until: Option<Instant>) -> (Option<IpAddr>, Duration, Attempts) {
        let started = Instant::now();
        let mut attempts = Attempts::default();
        let alive = Arc::new(AtomicUsize::new(0));
        let settings = HappyEyeballs::new();
        let found = race(
            settings,
            answer,
            until,
            80,
            |address| dial(address, Arc::clone(&alive)),
            &mut attempts,
        );
        let found = found.await;
        assert_eq!(alive.load(Ordering::SeqCst), 0, "losers are cancelled");
        (found, started.elapsed(), attempts)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_answers_wins() {
        for (addresses, winner, after) in [
            ("10.0.0.1 10.0.0.2", Some("10.0.0.1"), 100),
            // The first answers at 900, the second at 250 + 100.
            ("10.0.0.9 10.0.0.1", Some("10.0.0.1"), 350),
            // A black hole costs 250 ms.
            ("192.0.2.1 10.0.0.1", Some("10.0.0.1"), 350),
            // A refusal costs what it took.
            ("::1 10.0.0.1", Some("10.0.0.1"), 200),
            ("::1 ::2", None, 300),
        ] {
            let (found, elapsed, _) = run(Answer::new(ips(addresses)), None).await;
            assert_eq!(found, winner.map(|ip| ips(ip)[0]), "{addresses}");
            assert_eq!(elapsed, MS(after), "{addresses}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_raced_too() {
        let rest = async {
            tokio::time::sleep(MS(600)).await;
            Ok(Answer::new(ips("10.0.0.1")))
        };
        let answer = Answer::new(ips("192.0.2.1")).with_rest(rest);
        let (found, elapsed, _) = run(answer, None).await;
        assert_eq!((found, elapsed), (Some(ips("10.0.0.1")[0]), MS(700)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_that_does_not_come_is_given_up() {
        let answer = Answer::new(ips("::1")).with_rest(pending());
        let (found, elapsed, _) = run(answer, Some(Instant::now() + MS(400))).await;
        assert_eq!((found, elapsed), (None, MS(400)));
        let answer = Answer::new(ips("::1")).with_rest(ready(Err("SERVFAIL".into())));
        let (found, elapsed, _) = run(answer, None).await;
        assert_eq!((found, elapsed), (None, MS(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_say_what_came_of_each() {
        let (_, _, attempts) = run(Answer::new(ips("::1 ::2")), None).await;
        assert_eq!(
            attempts.to_string(),
            "[::1]:80: connection refused, [::2]:80"
        );
        let source = attempts.source().expect("the last failure");
        assert_eq!(source.to_string(), "connection refused");

        let (_, _, attempts) = run(Answer::new(ips("::1 192.0.2.1 10.0.0.1")), None).await;
        assert_eq!(
            attempts.to_string(),
            "192.0.2.1:80: no answer, 10.0.0.1:80: no answer, [::1]:80"
        );
        assert_eq!(Attempts::default().to_string(), "no address was tried");
    }
}
