//! How long a connection may do what it does: a pure decision.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{MinRate, rate::Allowance};

/// What a connection has to keep to. `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) head: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) age: Option<Duration>,
    pub(crate) requests: Option<u64>,
    pub(crate) reading: Option<MinRate>,
}

/// What can be seen of a connection at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    /// In flight.
    pub(crate) requests: usize,
    /// Ever.
    pub(crate) begun: u64,
    /// Bytes that came.
    pub(crate) read: u64,
    /// Bytes of responses that the peer took.
    pub(crate) taken: u64,
    /// There are bytes of a response that it has not taken.
    pub(crate) owed: bool,
    /// `Some` over HTTP/2: whether a request's head has come in part.
    pub(crate) in_head: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to do, until then or until something happens.
    Wait(Option<Instant>),
    /// No more requests, please.
    Retire(Why),
    /// Enough.
    Close(Why),
}

/// What a connection did not keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    SlowHead,
    SlowReader,
    Idle,
    Age,
    Requests,
    Flood,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SlowHead => "the head of a request took too long",
            Self::SlowReader => "the peer takes responses too slowly",
            Self::Idle => "there was no request for too long",
            Self::Age => "it is old",
            Self::Requests => "it had all its requests",
            Self::Flood => "the peer sent too many frames without a request",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request's head is coming, or it is not known yet what is.
    Head,
    Idle,
    Busy,
}

/// The state: in which phase the connection is, and since when.
#[derive(Debug)]
pub(super) struct Vigil {
    born: Instant,
    phase: Phase,
    since: Instant,
    /// What was seen when the phase began.
    begun: u64,
    read: u64,
    reading: Option<Reading>,
    retired: bool,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    allowance: Allowance,
    at: Instant,
    taken: u64,
}

impl Vigil {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            born: now,
            phase: Phase::Head,
            since: now,
            begun: 0,
            read: 0,
            reading: None,
            retired: false,
        }
    }

    /// Whether there is something to look at before the time is over. Cheap: it is asked whenever the connection is polled.
    pub(super) fn is_news(&self, bounds: &Bounds, sight: &Sight) -> bool {
        sight.begun != self.begun
            || self.phase_of(sight) != self.phase
            || (sight.owed && bounds.reading.is_some()) != self.reading.is_some()
    }

    fn phase_of(&self, sight: &Sight) -> Phase {
        if sight.requests > 0 {
            return Phase::Busy;
        }
        let in_head = match sight.in_head {
            Some(in_head) => in_head,
            // The first request's head: from the very beginning, or who says nothing would be idle.
            None if sight.begun == 0 => true,
            // Bytes that came with the request before, or after it, may be of its body.
            None if sight.begun != self.begun || self.phase == Phase::Busy => false,
            None => sight.read != self.read,
        };
        if in_head { Phase::Head } else { Phase::Idle }
    }

    pub(super) fn look(&mut self, bounds: &Bounds, now: Instant, sight: &Sight) -> Verdict {
        let phase = self.phase_of(sight);
        if phase != self.phase || sight.begun != self.begun {
            if phase != Phase::Head {
                self.read = sight.read;
            }
            self.phase = phase;
            self.since = now;
            self.begun = sight.begun;
        }
        let mut next = Next { now, at: None };
        if !self.retired {
            if bounds.requests.is_some_and(|most| sight.begun >= most) {
                return self.retire(Why::Requests);
            }
            if next.is_over(self.born, bounds.age) {
                return self.retire(Why::Age);
            }
        }
        match self.phase {
            Phase::Head if next.is_over(self.since, bounds.head) => {
                return Verdict::Close(Why::SlowHead);
            }
            Phase::Idle if !self.retired && next.is_over(self.since, bounds.idle) => {
                return self.retire(Why::Idle);
            }
            Phase::Head | Phase::Idle | Phase::Busy => {}
        }
        if let Some(left) = bounds
            .reading
            .and_then(|rate| self.patience(rate, now, sight))
        {
            if next.is_over(now, Some(left)) {
                return Verdict::Close(Why::SlowReader);
            }
        }
        Verdict::Wait(next.at)
    }

    fn retire(&mut self, why: Why) -> Verdict {
        self.retired = true;
        Verdict::Retire(why)
    }

    /// How much longer the peer may leave a response unread.
    fn patience(&mut self, rate: MinRate, now: Instant, sight: &Sight) -> Option<Duration> {
        if !sight.owed {
            self.reading = None;
            return None;
        }
        let reading = self.reading.get_or_insert(Reading {
            allowance: Allowance::new(rate),
            at: now,
            taken: sight.taken,
        });
        let waited = now.saturating_duration_since(reading.at);
        let taken = sight.taken.saturating_sub(reading.taken);
        reading.allowance.account(waited, taken);
        (reading.at, reading.taken) = (now, sight.taken);
        Some(reading.allowance.left())
    }
}

/// The earliest of some times.
struct Next {
    now: Instant,
    at: Option<Instant>,
}

impl Next {
    fn is_over(&mut self, since: Instant, limit: Option<Duration>) -> bool {
        let Some(limit) = limit else { return false };
        let end = since + limit;
        self.at = Some(self.at.map_or(end, |at| at.min(end)));
        end <= self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds() -> Bounds {
        Bounds {
            head: Some(3 * SECOND),
            idle: Some(10 * SECOND),
            ..Bounds::default()
        }
    }

    struct Clock {
        start: Instant,
        bounds: Bounds,
        vigil: Vigil,
    }

    impl Clock {
        fn new(bounds: Bounds) -> Self {
            let start = Instant::now();
            Self {
                start,
                bounds,
                vigil: Vigil::new(start),
            }
        }

        fn is_news(&self, sight: &Sight) -> bool {
            self.vigil.is_news(&self.bounds, sight)
        }

        /// What is said at that second; of a wait, the second when it ends.
        fn at(&mut self, seconds: u64, sight: Sight) -> Result<Option<u64>, Verdict> {
            let now = self.start + Duration::from_secs(seconds);
            match self.vigil.look(&self.bounds, now, &sight) {
                Verdict::Wait(next) => Ok(next.map(|next| (next - self.start).as_secs())),
                verdict => Err(verdict),
            }
        }
    }

    #[tokio::test]
    async fn the_first_head_has_its_time_from_the_beginning_whatever_comes() {
        let mut clock = Clock::new(bounds());
        for second in 0..3 {
            let sight = Sight {
                read: second,
                ..Sight::default()
            };
            assert_eq!(clock.at(second, sight), Ok(Some(3)));
        }
        assert_eq!(
            clock.at(3, Sight::default()),
            Err(Verdict::Close(Why::SlowHead))
        );
    }

    #[tokio::test]
    async fn a_further_head_has_its_time_from_its_first_byte() {
        let mut clock = Clock::new(bounds());
        let busy = Sight {
            requests: 1,
            begun: 1,
            read: 100,
            ..Sight::default()
        };
        assert_eq!(clock.at(1, busy), Ok(None));
        // Its body came meanwhile.
        let idle = Sight {
            requests: 0,
            read: 200,
            ..busy
        };
        assert_eq!(clock.at(5, idle), Ok(Some(15)));
        assert!(!clock.is_news(&idle));
        let head = Sight { read: 201, ..idle };
        assert!(clock.is_news(&head));
        assert_eq!(clock.at(14, head), Ok(Some(17)));
        let head = Sight { read: 210, ..idle };
        assert_eq!(clock.at(16, head), Ok(Some(17)));
        assert_eq!(clock.at(17, head), Err(Verdict::Close(Why::SlowHead)));
    }

    #[tokio::test]
    async fn idle_is_counted_from_the_last_request_even_if_nobody_saw_it_in_flight() {
        let mut clock = Clock::new(bounds());
        let mut idle = Sight {
            begun: 1,
            read: 100,
            ..Sight::default()
        };
        assert_eq!(clock.at(0, idle), Ok(Some(10)));
        (idle.begun, idle.read) = (2, 200);
        assert!(clock.is_news(&idle));
        assert_eq!(clock.at(9, idle), Ok(Some(19)));
        assert_eq!(clock.at(19, idle), Err(Verdict::Retire(Why::Idle)));
        assert_eq!(clock.at(20, idle), Ok(None), "once is enough");
    }

    #[tokio::test]
    async fn http2_says_itself_whether_a_head_is_coming() {
        let mut clock = Clock::new(bounds());
        let mut sight = Sight {
            in_head: Some(false),
            ..Sight::default()
        };
        // Pings are no head.
        for second in 0..9 {
            sight.read += 17;
            assert_eq!(clock.at(second, sight), Ok(Some(10)));
        }
        sight.in_head = Some(true);
        assert_eq!(clock.at(9, sight), Ok(Some(12)));
        assert_eq!(clock.at(12, sight), Err(Verdict::Close(Why::SlowHead)));
    }

    #[tokio::test]
    async fn age_and_number_retire_it_once_also_in_the_middle_of_a_request() {
        let bounds = Bounds {
            age: Some(60 * SECOND),
            requests: Some(5),
            ..Bounds::default()
        };
        let busy = Sight {
            requests: 1,
            begun: 1,
            ..Sight::default()
        };
        let mut clock = Clock::new(bounds);
        assert_eq!(clock.at(1, busy), Ok(Some(60)));
        assert_eq!(clock.at(60, busy), Err(Verdict::Retire(Why::Age)));
        assert_eq!(clock.at(61, busy), Ok(None));

        let mut clock = Clock::new(bounds);
        let fifth = Sight { begun: 5, ..busy };
        assert_eq!(clock.at(2, fifth), Err(Verdict::Retire(Why::Requests)));
        assert_eq!(clock.at(3, fifth), Ok(None));
    }

    #[tokio::test]
    async fn a_reader_has_to_keep_up() {
        let bounds = Bounds {
            reading: Some(MinRate::try_new(100, 5 * SECOND).expect("valid")),
            ..Bounds::default()
        };
        let mut clock = Clock::new(bounds);
        let mut sight = Sight {
            requests: 1,
            begun: 1,
            owed: true,
            ..Sight::default()
        };
        assert_eq!(clock.at(0, sight), Ok(Some(5)));
        sight.taken = 200;
        assert_eq!(
            clock.at(4, sight),
            Ok(Some(7)),
            "4 s are used, and 2 s earned"
        );
        sight.owed = false;
        assert_eq!(clock.at(6, sight), Ok(None));
        sight.owed = true;
        assert_eq!(clock.at(9, sight), Ok(Some(14)), "it has caught up");
        assert_eq!(clock.at(14, sight), Err(Verdict::Close(Why::SlowReader)));
    }
}
