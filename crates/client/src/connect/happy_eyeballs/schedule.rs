//! Which address is tried next, and when: RFC 8305 without any I/O.

use std::{collections::VecDeque, net::IpAddr};

use tokio::time::Instant;

use super::HappyEyeballs;

/// More addresses than a race can use. A name server may send thousands.
pub(crate) const MAX_ADDRESSES: usize = 64;

/// What a race has to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Start an attempt to this address.
    Start(IpAddr),
    /// Nothing, until an attempt fails, an address comes, or it is this late.
    Wait(Option<Instant>),
    /// Nothing: every address has failed, and no more will come.
    Exhausted,
}

/// The state of one race.
#[derive(Debug)]
pub(crate) struct Schedule {
    settings: HappyEyeballs,
    six: VecDeque<IpAddr>,
    four: VecDeque<IpAddr>,
    /// All that ever came, so that none is tried twice.
    seen: Vec<IpAddr>,
    /// The family of the next attempt. `None` before the first.
    six_is_next: Option<bool>,
    is_resolving: bool,
    running: usize,
    /// Until when nothing is started, unless what it is waited for comes sooner.
    not_before: Option<Instant>,
}

impl Schedule {
    /// A race whose addresses are being looked up.
    pub(crate) fn new(settings: HappyEyeballs) -> Self {
        Self {
            settings,
            six: VecDeque::new(),
            four: VecDeque::new(),
            seen: Vec::new(),
            six_is_next: None,
            is_resolving: true,
            running: 0,
            not_before: None,
        }
    }

    /// Addresses came. `is_last` says that no more will.
    pub(crate) fn add(&mut self, now: Instant, addresses: &[IpAddr], is_last: bool) {
        let is_first = self.seen.is_empty();
        for &address in addresses {
            if self.seen.len() == MAX_ADDRESSES {
                break;
            }
            if self.seen.contains(&address) {
                continue;
            }
            self.seen.push(address);
            match address {
                IpAddr::V6(_) => self.six.push_back(address),
                IpAddr::V4(_) => self.four.push_back(address),
            }
        }
        self.is_resolving = !is_last;
        if self.six_is_next.is_some() {
            return;
        }
        if is_first && is_last {
            // One list of both families is in an order that somebody chose: RFC 6724's, or the caller's own.
            self.six_is_next = self.seen.first().map(IpAddr::is_ipv6);
        } else if !self.six.is_empty() || is_last {
            self.not_before = None;
        } else if is_first && !self.four.is_empty() {
            // Section 3: the other answer is likely on its way.
            self.not_before = Some(now + self.settings.resolution_delay);
        }
    }

    /// No more addresses will come.
    pub(crate) fn resolved(&mut self, now: Instant) {
        if self.is_resolving {
            self.add(now, &[], true);
        }
    }

    /// An attempt failed. The next need not wait for it any more.
    pub(crate) fn failed(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.not_before = None;
    }

    /// What to do at `now`. An attempt that it says to start counts as started.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        if self.six.is_empty() && self.four.is_empty() {
            return if self.running > 0 || self.is_resolving {
                Step::Wait(None)
            } else {
                Step::Exhausted
            };
        }
        match self.not_before {
            Some(until) if now < until => return Step::Wait(Some(until)),
            _ => {}
        }
        // Section 4, with a First Address Family Count of 1: the families take turns as long as there are both.
        let wants_six = self.six_is_next.unwrap_or(true);
        let (wanted, other) = if wants_six {
            (&mut self.six, &mut self.four)
        } else {
            (&mut self.four, &mut self.six)
        };
        let next = wanted.pop_front().or_else(|| other.pop_front());
        let address = next.expect("one of the two has one");
        self.six_is_next = Some(address.is_ipv4());
        self.running += 1;
        self.not_before = Some(now + self.settings.attempt_delay);
        Step::Start(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::{collections::HashSet, time::Duration};

    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn ip(text: &str) -> IpAddr {
        match text.strip_prefix('4') {
            Some(n) => IpAddr::from([10, 0, 0, n.parse().expect("a number")]),
            None => IpAddr::from([0, 0, 0, 0, 0, 0, 6, text[1..].parse().expect("a number")]),
        }
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(ip).collect()
    }

    enum Event {
        Comes(&'static str),
        ComesLast(&'static str),
        NoMore,
        Fails,
    }
    use Event::*;

    /// Plays what happens at which millisecond, and returns which attempt starts at which.
    fn play(events: &[(u64, Event)], end: u64) -> (Vec<(u64, IpAddr)>, Step) {
        let start = Instant::now();
        let mut schedule = Schedule::new(HappyEyeballs::new());
        let mut started = Vec::new();
        let mut last = Step::Exhausted;
        for millisecond in 0..=end {
            let now = start + MS(millisecond);
            for (_, event) in events.iter().filter(|(at, _)| *at == millisecond) {
                match event {
                    Comes(addresses) => schedule.add(now, &ips(addresses), false),
                    ComesLast(addresses) => schedule.add(now, &ips(addresses), true),
                    NoMore => schedule.resolved(now),
                    Fails => schedule.failed(),
                }
            }
            loop {
                last = schedule.step(now);
                match last {
                    Step::Start(address) => started.push((millisecond, address)),
                    Step::Wait(until) => {
                        assert!(until.is_none_or(|until| until > now), "a wait for the past");
                        break;
                    }
                    Step::Exhausted => break,
                }
            }
        }
        (started, last)
    }

    #[test]
    fn attempts_start_as_rfc_8305_has_them() {
        type Case<'a> = (&'a str, &'a [(u64, Event)], &'a [(u64, &'a str)]);
        let table: &[Case<'_>] = &[
            (
                "the families take turns, 250 ms apart",
                &[(0, ComesLast("61 62 63 41 42"))],
                &[
                    (0, "61"),
                    (250, "41"),
                    (500, "62"),
                    (750, "42"),
                    (1000, "63"),
                ],
            ),
            (
                "a whole list starts with the family that it starts with",
                &[(0, ComesLast("41 42 61"))],
                &[(0, "41"), (250, "61"), (500, "42")],
            ),
            (
                "one family alone",
                &[(0, ComesLast("41 42"))],
                &[(0, "41"), (250, "42")],
            ),
            (
                "a failure starts the next at once",
                &[(0, ComesLast("61 41 62")), (30, Fails)],
                &[(0, "61"), (30, "41"), (280, "62")],
            ),
            (
                "AAAA first: no wait",
                &[(0, Comes("61")), (20, ComesLast("41"))],
                &[(0, "61"), (250, "41")],
            ),
            (
                "A first: 50 ms for AAAA, which come",
                &[(0, Comes("41 42")), (40, ComesLast("61"))],
                &[(40, "61"), (290, "41"), (540, "42")],
            ),
            (
                "A first: 50 ms for AAAA, which do not come",
                &[(0, Comes("41 42"))],
                &[(50, "41"), (300, "42")],
            ),
            (
                "A first, and AAAA after the delay: they are next",
                &[(0, Comes("41 42")), (60, ComesLast("61"))],
                &[(50, "41"), (300, "61"), (550, "42")],
            ),
            (
                "A first, and no AAAA: known at once",
                &[(0, Comes("41")), (10, NoMore)],
                &[(10, "41")],
            ),
            (
                "the same address twice is one",
                &[(0, Comes("61 61")), (5, ComesLast("61 41"))],
                &[(0, "61"), (250, "41")],
            ),
            (
                "late addresses follow a failure at once",
                &[(0, Comes("61")), (10, Fails), (30, ComesLast("41"))],
                &[(0, "61"), (30, "41")],
            ),
        ];
        for (name, events, expected) in table {
            let expected: Vec<_> = expected.iter().map(|&(at, text)| (at, ip(text))).collect();
            assert_eq!(play(events, 1500).0, expected, "{name}");
        }
    }

    #[test]
    fn it_ends_when_all_have_failed_and_no_more_will_come() {
        let (_, end) = play(&[(0, ComesLast("61 41")), (1, Fails), (2, Fails)], 3);
        assert_eq!(end, Step::Exhausted);
        let (_, end) = play(&[(0, Comes("61")), (1, Fails)], 3);
        assert_eq!(end, Step::Wait(None));
        let (_, end) = play(&[(0, Comes("61")), (1, Fails), (2, NoMore)], 3);
        assert_eq!(end, Step::Exhausted);
        let (_, end) = play(&[(0, ComesLast(""))], 3);
        assert_eq!(end, Step::Exhausted);
        let (_, end) = play(&[(0, ComesLast("61"))], 3);
        assert_eq!(end, Step::Wait(None));
    }

    #[test]
    fn a_flood_of_addresses_is_cut() {
        let flood: Vec<_> = (0..5_000_u32)
            .map(|n| IpAddr::from(n.to_be_bytes()))
            .collect();
        let mut schedule = Schedule::new(HappyEyeballs::new());
        schedule.add(Instant::now(), &flood, true);
        assert_eq!(schedule.four.len(), MAX_ADDRESSES);
    }

    #[derive(Clone, Debug)]
    enum Random {
        Add(Vec<(bool, u8)>, bool),
        Fail,
        Pass(u64),
    }

    fn random() -> impl Strategy<Value = Random> {
        prop_oneof![
            (
                proptest::collection::vec((any::<bool>(), 0..8_u8), 0..5),
                any::<bool>()
            )
                .prop_map(|(addresses, is_last)| Random::Add(addresses, is_last)),
            Just(Random::Fail),
            (0..400_u64).prop_map(Random::Pass),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens(events in proptest::collection::vec(random(), 0..40)) {
            let mut now = Instant::now();
            let mut schedule = Schedule::new(HappyEyeballs::new());
            let (mut known, mut started) = (HashSet::new(), Vec::new());
            let (mut running, mut is_over) = (0_usize, false);
            let mut quiet_since: Option<Instant> = None;
            for event in events {
                match event {
                    Random::Add(addresses, is_last) if !is_over => {
                        is_over = is_last;
                        let addresses: Vec<_> = addresses.iter().map(|&(is_six, n)| {
                            ip(&format!("{}{n}", if is_six { 6 } else { 4 }))
                        }).collect();
                        known.extend(addresses.iter().copied());
                        schedule.add(now, &addresses, is_last);
                    }
                    Random::Add(..) => {}
                    Random::Fail if running > 0 => {
                        running -= 1;
                        quiet_since = None;
                        schedule.failed();
                    }
                    Random::Fail => {}
                    Random::Pass(milliseconds) => now += MS(milliseconds),
                }
                loop {
                    match schedule.step(now) {
                        Step::Start(address) => {
                            // Never sooner than the delay after the last, unless one failed since.
                            if let Some(last) = quiet_since {
                                prop_assert!(now.duration_since(last) >= MS(250));
                            }
                            quiet_since = Some(now);
                            running += 1;
                            started.push(address);
                        }
                        Step::Wait(Some(until)) => {
                            prop_assert!(until > now && until <= now + MS(250));
                            prop_assert!(started.len() < known.len());
                            break;
                        }
                        Step::Wait(None) => {
                            // Nobody is forgotten.
                            prop_assert_eq!(started.len(), known.len());
                            prop_assert!(running > 0 || !is_over);
                            break;
                        }
                        Step::Exhausted => {
                            prop_assert!(is_over && running == 0);
                            prop_assert_eq!(started.len(), known.len());
                            break;
                        }
                    }
                }
            }
            let distinct: HashSet<_> = started.iter().copied().collect();
            prop_assert_eq!(distinct.len(), started.len());
            prop_assert!(distinct.is_subset(&known));
        }
    }
}
