//! The core alone, with a shell that does nothing by itself: unit tests, and random operations against what always holds.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Connections are told by the serials of their dials, wakers and failures by numbers.
type TestCore = Core<u8, u64, u32, u32>;

struct Shell {
    core: TestCore,
    now: Instant,
    dials: VecDeque<(ConnId, u8)>,
    closing: VecDeque<ConnId>,
    open: Vec<ConnId>,
    woken: Vec<u32>,
    closed: Vec<Why>,
}

fn limits() -> Limits {
    Limits {
        per_origin: usize::MAX,
        total: usize::MAX,
        idle_per_origin: usize::MAX,
        idle_total: usize::MAX,
        waiting: 100,
        http2_per_origin: 4,
        streams: 100,
        idle_timeout: MINUTE,
        requests: u64::MAX,
    }
}

impl Shell {
    fn new(limits: Limits) -> Self {
        Self {
            core: Core::new(limits),
            now: Instant::now(),
            dials: VecDeque::new(),
            closing: VecDeque::new(),
            open: Vec::new(),
            woken: Vec::new(),
            closed: Vec::new(),
        }
    }

    fn with<R>(
        &mut self,
        f: impl FnOnce(&mut TestCore, Instant, &mut Actions<u8, u64, u32>) -> R,
    ) -> R {
        let mut actions = Vec::new();
        let result = f(&mut self.core, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Dial { id, key } => self.dials.push_back((id, key)),
                Action::Close { conn, why } => {
                    let at = self.open.iter().position(|id| id.serial == conn);
                    let id = self.open.swap_remove(at.expect("closed once"));
                    self.closing.push_back(id);
                    self.closed.push(why);
                }
                Action::Drop { .. } => {}
                Action::Wake(waker) => self.woken.push(waker),
            }
        }
        result
    }

    fn acquire(&mut self, key: u8) -> Result<Acquired<u64>, Refused> {
        self.with(|core, now, actions| core.acquire(&key, Some(Speaks::Http1), false, now, actions))
    }

    fn now(&mut self, key: u8) -> Grant<u64> {
        match self.acquire(key) {
            Ok(Acquired::Now(grant)) => grant,
            other => panic!("no connection at once: {other:?}"),
        }
    }

    fn later(&mut self, key: u8) -> WaiterId {
        match self.acquire(key) {
            Ok(Acquired::Later(waiter)) => waiter,
            other => panic!("nothing to wait for: {other:?}"),
        }
    }

    fn later_unknown(&mut self, key: u8) -> WaiterId {
        match self.with(|core, now, actions| core.acquire(&key, None, false, now, actions)) {
            Ok(Acquired::Later(waiter)) => waiter,
            other => panic!("nothing to wait for: {other:?}"),
        }
    }

    fn fresh(&mut self, key: u8) -> WaiterId {
        let speaks = Some(Speaks::Http1);
        match self.with(|core, now, actions| core.acquire(&key, speaks, true, now, actions)) {
            Ok(Acquired::Later(waiter)) => waiter,
            other => panic!("a fresh one is always waited for: {other:?}"),
        }
    }

    fn dialed(&mut self, speaks: Speaks) -> ConnId {
        let (id, _) = self.dials.pop_front().expect("a dial");
        self.open.push(id);
        self.with(|core, now, actions| core.dialed(id, id.serial, speaks, None, now, actions));
        id
    }

    fn failed(&mut self) {
        let (id, _) = self.dials.pop_front().expect("a dial");
        self.with(|core, _, actions| core.dial_failed(id, &7, actions));
    }

    fn release(&mut self, grant: &Grant<u64>) {
        self.with(|core, now, actions| core.release(grant.id, true, now, actions));
    }

    fn gone(&mut self) {
        let id = self.closing.pop_front().expect("one that closes");
        self.with(|core, _, actions| core.closed(id, actions));
    }

    fn streams(&mut self, id: ConnId, streams: usize) {
        self.with(|core, now, actions| core.set_streams(id, streams, now, actions));
    }

    fn take(&mut self, waiter: &WaiterId) -> Option<Result<Grant<u64>, u32>> {
        self.core.take(waiter)
    }

    fn granted(&mut self, waiter: &WaiterId) -> Grant<u64> {
        self.take(waiter).expect("served").expect("a connection")
    }

    fn sweep(&mut self, after: Duration) {
        self.now += after;
        self.with(Core::sweep);
    }
}

#[test]
fn a_connection_is_used_again() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    assert_eq!((grant.id, grant.carried), (id, 0));
    shell.release(&grant);
    let again = shell.now(1);
    assert_eq!((again.id, again.carried), (id, 1));
    assert!(shell.dials.is_empty());
}

#[test]
fn a_busy_connection_is_not() {
    let mut shell = Shell::new(limits());
    let first = shell.later(1);
    shell.dialed(Speaks::Http1);
    let _busy = shell.granted(&first);
    shell.later(1);
    assert_eq!(shell.dials.len(), 1);
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let mut shell = Shell::new(Limits {
        per_origin: 1,
        ..limits()
    });
    let waiters: Vec<_> = (0..4).map(|_| shell.later(1)).collect();
    assert_eq!(shell.dials.len(), 1);
    shell.dialed(Speaks::Http1);
    for (served, waiter) in waiters.iter().enumerate() {
        for later in &waiters[served + 1..] {
            assert!(shell.take(later).is_none());
        }
        let grant = shell.granted(waiter);
        shell.release(&grant);
    }
}

#[test]
fn a_cancelled_waiter_hands_its_grant_on() {
    let mut shell = Shell::new(Limits {
        per_origin: 1,
        ..limits()
    });
    let (first, second) = (shell.later(1), shell.later(1));
    shell.core.wake_by(&second, 2);
    shell.dialed(Speaks::Http1);
    shell.with(|core, now, actions| core.cancel(first, now, actions));
    assert_eq!(shell.woken, [2]);
    shell.granted(&second);
}

#[test]
fn a_full_queue_refuses() {
    let mut shell = Shell::new(Limits {
        waiting: 2,
        ..limits()
    });
    shell.later(1);
    shell.later(1);
    assert_eq!(shell.acquire(1).expect_err("full"), Refused::QueueFull);
    shell.later(2);
    assert_eq!(shell.core.census().counts.refused, 1);
}

#[test]
fn at_the_total_cap_the_least_recently_used_connection_of_another_origin_closes() {
    let mut shell = Shell::new(Limits {
        total: 2,
        ..limits()
    });
    let ids: Vec<_> = [1, 2]
        .into_iter()
        .map(|key| {
            let waiter = shell.later(key);
            let id = shell.dialed(Speaks::Http1);
            let grant = shell.granted(&waiter);
            shell.release(&grant);
            id
        })
        .collect();
    // The first is used once more, so the second has been idle for longer.
    let grant = shell.now(1);
    shell.release(&grant);
    let waiter = shell.later(3);
    assert_eq!(shell.closing, [ids[1]]);
    assert!(shell.dials.is_empty(), "the place is not free yet");
    shell.gone();
    shell.dialed(Speaks::Http1);
    shell.granted(&waiter);
}

#[test]
fn at_the_total_cap_a_busy_origin_yields_to_who_came_first() {
    let mut shell = Shell::new(Limits {
        total: 1,
        ..limits()
    });
    let first = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&first);
    let other = shell.later(2);
    let own = shell.later(1);
    shell.release(&grant);
    assert_eq!(shell.closed, [Why::Room]);
    shell.gone();
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&other);
    shell.release(&grant);
    shell.gone();
    shell.dialed(Speaks::Http1);
    shell.granted(&own);
}

#[test]
fn a_failed_dial_is_told_to_all_who_had_waited_for_it() {
    let mut shell = Shell::new(Limits {
        per_origin: 1,
        ..limits()
    });
    let waiters: Vec<_> = (0..4).map(|_| shell.later(1)).collect();
    shell.failed();
    // The others came after the dial began, and get one of their own: all together.
    assert!(shell.take(&waiters[0]).expect("told").is_err());
    assert!(shell.take(&waiters[1]).is_none());
    shell.failed();
    for waiter in &waiters[1..] {
        assert_eq!(shell.take(waiter).expect("told").expect_err("a failure"), 7);
    }
    assert!(shell.dials.is_empty());
}

#[test]
fn one_more_connection_that_fails_is_the_first_waiters_alone() {
    let mut shell = Shell::new(limits());
    let first = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&first);
    let (second, third) = (shell.later(1), shell.later(1));
    shell.dials.swap(0, 1);
    shell.failed();
    assert!(shell.take(&second).expect("told").is_err());
    shell.release(&grant);
    shell.granted(&third);
}

#[test]
fn http2_streams_are_as_many_as_the_peer_says() {
    let mut shell = Shell::new(limits());
    let waiters: Vec<_> = (0..25).map(|_| shell.later_unknown(1)).collect();
    assert_eq!(shell.dials.len(), 1, "the first says what is spoken");
    let id = shell.dialed(Speaks::Http2);
    assert_eq!(
        shell.core.census().leases,
        1,
        "one, until the peer has said"
    );
    assert!(shell.dials.is_empty(), "the peer has yet to say");
    shell.streams(id, 10);
    assert_eq!(shell.core.census().leases, 10);
    assert_eq!(shell.dials.len(), 2, "for fifteen more");
    for _ in 0..2 {
        let id = shell.dialed(Speaks::Http2);
        shell.streams(id, 10);
    }
    for waiter in &waiters {
        shell.granted(waiter);
    }
    assert_eq!(shell.open.len(), 3);
}

#[test]
fn the_least_loaded_http2_connection_is_taken() {
    let mut shell = Shell::new(limits());
    let waiters: Vec<_> = (0..3).map(|_| shell.later_unknown(1)).collect();
    let busy = shell.dialed(Speaks::Http2);
    shell.streams(busy, 2);
    let idle = shell.dialed(Speaks::Http2);
    shell.streams(idle, 2);
    let grants: Vec<_> = waiters.iter().map(|waiter| shell.granted(waiter)).collect();
    shell.release(&grants[0]);
    shell.release(&grants[1]);
    assert_eq!(shell.now(1).id, busy);
}

#[test]
fn strictly_one_http2_connection_stays_one() {
    let mut shell = Shell::new(Limits {
        http2_per_origin: 1,
        ..limits()
    });
    let waiters: Vec<_> = (0..3).map(|_| shell.later_unknown(1)).collect();
    let hurried = shell.dials[0].0;
    shell.with(|core, _, actions| core.hurry(hurried, actions));
    assert_eq!(shell.dials.len(), 3, "nobody knows yet");
    let id = shell.dialed(Speaks::Http2);
    shell.dialed(Speaks::Http2);
    shell.dialed(Speaks::Http2);
    assert_eq!(shell.closed, [Why::Room, Why::Room]);
    shell.streams(id, 1);
    let grant = shell.granted(&waiters[0]);
    assert!(shell.dials.is_empty() && shell.take(&waiters[1]).is_none());
    shell.release(&grant);
    shell.granted(&waiters[1]);
}

#[test]
fn a_retired_http2_connection_ends_with_its_last_stream() {
    let mut shell = Shell::new(limits());
    let waiters = [shell.later_unknown(1), shell.later_unknown(1)];
    let id = shell.dialed(Speaks::Http2);
    shell.streams(id, 5);
    let grants = waiters.map(|waiter| shell.granted(&waiter));
    shell.with(|core, _, actions| core.retire(id, actions));
    let waiter = shell.later_unknown(1);
    assert_eq!(shell.dials.len(), 1, "a new one for a new request");
    shell.release(&grants[0]);
    assert!(shell.closed.is_empty());
    shell.release(&grants[1]);
    assert_eq!(shell.closed, [Why::Retired]);
    let id = shell.dialed(Speaks::Http2);
    assert_eq!(shell.granted(&waiter).id, id);
}

#[test]
fn unused_connections_end_within_one_sweep() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.sweep(MINUTE * 10);
    assert!(shell.closed.is_empty(), "it is in use");
    shell.release(&grant);
    shell.sweep(MINUTE - Duration::from_millis(1));
    assert!(shell.closed.is_empty());
    shell.sweep(Duration::from_millis(1));
    assert_eq!(shell.closed, [Why::Idle]);
    shell.gone();
    assert_eq!(shell.core.census().origins, 1);
    shell.sweep(MINUTE);
    assert_eq!(
        shell.core.census(),
        Census {
            counts: shell.core.counts,
            ..Census::default()
        }
    );
}

#[test]
fn connections_that_are_over_are_not_picked_before_the_sweep() {
    let mut shell = Shell::new(Limits {
        requests: 2,
        ..limits()
    });
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    shell.now += MINUTE;
    shell.later(1);
    assert_eq!(shell.closed, [Why::Idle]);
    shell.dialed(Speaks::Http1);
}

#[test]
fn enough_requests_are_enough() {
    let mut shell = Shell::new(Limits {
        requests: 2,
        ..limits()
    });
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    let grant = shell.now(1);
    shell.release(&grant);
    assert_eq!(shell.closed, [Why::Retired]);
}

#[test]
fn a_fresh_connection_was_not_idle() {
    let mut shell = Shell::new(Limits {
        per_origin: 2,
        ..limits()
    });
    let waiters = [shell.later(1), shell.later(1)];
    let ids = [shell.dialed(Speaks::Http1), shell.dialed(Speaks::Http1)];
    for waiter in waiters {
        let grant = shell.granted(&waiter);
        shell.release(&grant);
    }
    let fresh = shell.fresh(1);
    assert_eq!(shell.closing, [ids[0]], "the cap stands in the way");
    // Others are not held up by it.
    let other = shell.now(1);
    assert_eq!(other.id, ids[1]);
    shell.gone();
    let id = shell.dialed(Speaks::Http1);
    assert_eq!(shell.granted(&fresh).id, id);
}

#[test]
fn draining_tells_who_waits_and_closes_what_is_unused() {
    let mut shell = Shell::new(Limits {
        per_origin: 2,
        ..limits()
    });
    let waiters = [shell.later(1), shell.later(1), shell.later(1)];
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiters[0]);
    shell.with(|core, _, actions| core.drain(&9, actions));
    for waiter in &waiters[1..] {
        assert_eq!(shell.take(waiter).expect("told").expect_err("drained"), 9);
    }
    assert_eq!(shell.acquire(1).expect_err("drained"), Refused::Draining);
    shell.dialed(Speaks::Http1);
    assert_eq!(shell.closed, [Why::Asked]);
    shell.release(&grant);
    shell.gone();
    shell.gone();
    assert!(shell.core.is_empty());
}

#[derive(Clone, Debug)]
enum Op {
    Acquire { key: u8, fresh: bool },
    Take(usize),
    Cancel(usize),
    Release { which: usize, reuse: bool },
    Dialed { http2: bool },
    DialFailed,
    Hurry,
    Gone,
    Lost(usize),
    Upgraded(usize),
    Streams { which: usize, streams: usize },
    Retire(usize),
    Pass(u8),
    Sweep,
    CloseIdle,
    Prewarm { key: u8, wanted: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..3u8, prop::bool::weighted(0.1)).prop_map(|(key, fresh)| Op::Acquire { key, fresh }),
        4 => any::<usize>().prop_map(Op::Take),
        2 => any::<usize>().prop_map(Op::Cancel),
        6 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, reuse)| Op::Release { which, reuse }),
        6 => any::<bool>().prop_map(|http2| Op::Dialed { http2 }),
        1 => Just(Op::DialFailed),
        1 => Just(Op::Hurry),
        4 => Just(Op::Gone),
        1 => any::<usize>().prop_map(Op::Lost),
        1 => any::<usize>().prop_map(Op::Upgraded),
        2 => (any::<usize>(), 0..5usize).prop_map(|(which, streams)| Op::Streams { which, streams }),
        1 => any::<usize>().prop_map(Op::Retire),
        1 => any::<u8>().prop_map(Op::Pass),
        1 => Just(Op::Sweep),
        1 => Just(Op::CloseIdle),
        1 => (0..3u8, 0..4usize).prop_map(|(key, wanted)| Op::Prewarm { key, wanted }),
    ]
}

/// What the model knows beside the core.
#[derive(Default)]
struct Model {
    waiting: Vec<WaiterId>,
    grants: Vec<Grant<u64>>,
    upgraded: Vec<ConnId>,
}

impl Model {
    fn run(&mut self, shell: &mut Shell, op: &Op) {
        fn pick<T>(from: &[T], which: usize) -> Option<usize> {
            (!from.is_empty()).then(|| which % from.len())
        }
        match *op {
            Op::Acquire { key, fresh } => {
                // One origin of each kind: known to speak HTTP/1.1, known to speak HTTP/2, and not known.
                let speaks = [Some(Speaks::Http1), Some(Speaks::Http2), None][usize::from(key)];
                let got = shell
                    .with(|core, now, actions| core.acquire(&key, speaks, fresh, now, actions));
                match got {
                    Ok(Acquired::Now(grant)) => self.grants.push(grant),
                    Ok(Acquired::Later(waiter)) => self.waiting.push(waiter),
                    Err(_) => {}
                }
            }
            Op::Take(which) => {
                if let Some(at) = pick(&self.waiting, which) {
                    if let Some(result) = shell.take(&self.waiting[at]) {
                        self.waiting.remove(at);
                        self.grants.extend(result);
                    }
                }
            }
            Op::Cancel(which) => {
                if let Some(at) = pick(&self.waiting, which) {
                    let waiter = self.waiting.remove(at);
                    shell.with(|core, now, actions| core.cancel(waiter, now, actions));
                }
            }
            Op::Release { which, reuse } => {
                if let Some(at) = pick(&self.grants, which) {
                    let grant = self.grants.remove(at);
                    shell.with(|core, now, actions| core.release(grant.id, reuse, now, actions));
                }
            }
            Op::Dialed { http2 } => {
                if let Some(&(_, key)) = shell.dials.front() {
                    let is_http2 = key == 1 || key == 2 && http2;
                    shell.dialed(if is_http2 {
                        Speaks::Http2
                    } else {
                        Speaks::Http1
                    });
                }
            }
            Op::DialFailed if !shell.dials.is_empty() => shell.failed(),
            Op::DialFailed => {}
            Op::Hurry => {
                if let Some(&(id, _)) = shell.dials.front() {
                    shell.with(|core, _, actions| core.hurry(id, actions));
                }
            }
            Op::Gone if !shell.closing.is_empty() => shell.gone(),
            Op::Gone => {
                if let Some(id) = self.upgraded.pop() {
                    shell.with(|core, _, actions| core.closed(id, actions));
                }
            }
            Op::Lost(which) => {
                if let Some(at) = pick(&shell.open, which) {
                    let id = shell.open.swap_remove(at);
                    shell.with(|core, _, actions| core.closed(id, actions));
                }
            }
            Op::Upgraded(which) => {
                if let Some(at) = pick(&self.grants, which) {
                    let id = self.grants[at].id;
                    let is_http1 =
                        matches!(shell.core.open(id), Some(open) if open.speaks == Speaks::Http1);
                    if is_http1 {
                        self.grants.remove(at);
                        shell.open.retain(|open| *open != id);
                        self.upgraded.push(id);
                        shell.with(|core, _, actions| core.upgraded(id, actions));
                    }
                }
            }
            Op::Streams { which, streams } => {
                if let Some(at) = pick(&shell.open, which) {
                    let id = shell.open[at];
                    shell.streams(id, streams);
                }
            }
            Op::Retire(which) => {
                if let Some(at) = pick(&shell.open, which) {
                    let id = shell.open[at];
                    shell.with(|core, _, actions| core.retire(id, actions));
                }
            }
            Op::Pass(seconds) => shell.now += Duration::from_secs(seconds.into()),
            Op::Sweep => shell.sweep(Duration::ZERO),
            Op::CloseIdle => {
                shell.with(|core, _, actions| core.close_idle(actions));
            }
            Op::Prewarm { key, wanted } => {
                let speaks = [Some(Speaks::Http1), Some(Speaks::Http2), None][usize::from(key)];
                shell.with(|core, now, actions| core.prewarm(&key, speaks, wanted, now, actions));
            }
        }
    }

    /// What the docs of the core promise.
    fn check(&self, shell: &Shell) {
        let core = &shell.core;
        assert!(core.slots.len() <= core.limits.total);
        let granted =
            |waiter: &&WaiterId| matches!(core.waiters[waiter.0].state, Waiting::Granted(_));
        let leases = self.grants.len() + self.waiting.iter().filter(granted).count();
        assert_eq!(core.leases, leases, "permits");
        let sockets = shell.dials.len() + shell.open.len() + shell.closing.len();
        assert_eq!(core.slots.len(), sockets + self.upgraded.len(), "sockets");
        assert_eq!(core.dialing, shell.dials.len());
        assert_eq!(core.closing, shell.closing.len());
        assert_eq!(core.waiters.len(), self.waiting.len());
        assert!(core.idle.len() <= core.limits.idle_total);
        let mut idle = 0;
        for (at, origin) in &core.origins {
            let slots = core.slots.iter().filter(|(_, slot)| slot.origin == at);
            assert_eq!(slots.clone().count(), origin.slots);
            assert!(origin.slots <= core.limits.per_origin);
            assert!(origin.http2.len() <= core.limits.http2_per_origin);
            assert!(origin.idle_count <= core.limits.idle_per_origin);
            idle += origin.idle_count;
            let mut room = 0;
            for (_, slot) in slots {
                if let State::Open(open) = &slot.state {
                    assert!(open.speaks == Speaks::Http2 || open.active <= 1, "busy");
                    assert_eq!(slot.idle.is_linked(), open.active == 0 && !open.is_retired);
                    room += open.room();
                }
            }
            let waiting = origin.queue.len();
            let fresh = core
                .waiters
                .iter()
                .filter(|(_, waiter)| waiter.origin == at);
            let is_fresh_first = fresh.count() > 0 && room > 0 && waiting > 0;
            if waiting == 0 {
                continue;
            }
            // Only those may wait beside room who have asked for a connection that was not idle.
            assert!(room == 0 || is_fresh_first);
            // Whoever closes is followed by a dial.
            let is_coming = origin.dialing + origin.closing > 0 || core.untold(at) > 0;
            let is_at_cap = origin.slots >= core.limits.per_origin
                || core.slots.len() >= core.limits.total && origin.is_starved
                || origin.speaks == Some(Speaks::Http2)
                    && origin.http2.len() >= core.limits.http2_per_origin;
            assert!(
                is_coming || is_at_cap,
                "nobody sees to who waits: {origin:?}"
            );
            if core.lacks_room() {
                assert!(core.idle.is_empty(), "an unused one is in the way");
            }
        }
        assert_eq!(idle, core.idle.len());
    }

    /// Everybody gives up, and everything closes.
    fn end(mut self, shell: &mut Shell) {
        while let Some(waiter) = self.waiting.pop() {
            shell.with(|core, now, actions| core.cancel(waiter, now, actions));
            self.check(shell);
        }
        for grant in std::mem::take(&mut self.grants) {
            shell.release(&grant);
        }
        while !shell.dials.is_empty() {
            shell.failed();
        }
        for id in std::mem::take(&mut self.upgraded) {
            shell.with(|core, _, actions| core.closed(id, actions));
        }
        shell.with(|core, _, actions| core.close_idle(actions));
        while !shell.closing.is_empty() {
            shell.gone();
        }
        assert!(shell.core.is_empty(), "{:?}", shell.core);
        shell.sweep(MINUTE * 2);
        assert!(shell.core.origins.is_empty() && shell.core.by_key.is_empty());
        assert!(shell.core.waiters.is_empty() && shell.core.starved.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_happens_nothing_leaks_and_nobody_is_forgotten(
        ops in prop::collection::vec(op(), 1..150),
        per_origin in 1..4usize,
        total in 1..6usize,
        idle_per_origin in 0..3usize,
        idle_total in 0..4usize,
        streams in 1..4usize,
        http2_per_origin in 1..3usize,
        requests in prop_oneof![Just(u64::MAX), 1..4u64],
    ) {
        let mut shell = Shell::new(Limits {
            per_origin,
            total,
            idle_per_origin,
            idle_total,
            waiting: 5,
            http2_per_origin,
            streams,
            idle_timeout: MINUTE,
            requests,
        });
        let mut model = Model::default();
        for op in &ops {
            model.run(&mut shell, op);
            model.check(&shell);
        }
        model.end(&mut shell);
    }
}
