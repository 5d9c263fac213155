//! The core alone, with a shell that does nothing by itself.

mod property;

use std::{collections::VecDeque, time::Duration};

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

    fn again(&mut self, key: u8) -> Option<Grant<u64>> {
        self.with(|core, now, actions| core.again(|latest| *latest == key, now, actions))
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

    /// The first dial is about to begin. Answers whether it does.
    fn begin(&mut self) -> bool {
        let &(id, _) = self.dials.front().expect("a dial");
        let is_spare = self.with(|core, _, actions| core.is_spare(id, actions));
        if is_spare {
            self.dials.pop_front();
        }
        !is_spare
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
fn a_dial_that_nobody_waits_for_any_more_does_not_begin() {
    let mut shell = Shell::new(Limits {
        total: 2,
        ..limits()
    });
    let waiter = shell.later(1);
    assert!(shell.begin());
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    let (second, third) = (shell.later(1), shell.later(2));
    shell.release(&grant);
    assert_eq!(shell.granted(&second).id, id);
    // The other origin was in line for its place, which is free at once.
    assert!(!shell.begin());
    assert_eq!(shell.dials.front().map(|dial| dial.1), Some(2));
    assert!(shell.begin(), "it has its waiter");
    shell.with(|core, now, actions| core.cancel(third, now, actions));
    assert!(!shell.begin(), "which has gone");
    let census = shell.core.census();
    assert_eq!((census.counts.dialed, census.dialing), (1, 0));
    // One ahead of need has no waiter to begin with.
    let speaks = Some(Speaks::Http1);
    shell.with(|core, now, actions| core.prewarm(&3, speaks, 1, now, actions));
    assert!(shell.begin());
}

#[test]
fn a_connection_that_is_about_to_come_free_is_waited_for_as_long_as_it_is() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.with(|core, _, _| core.returning(id));
    let waiter = shell.later(1);
    assert!(shell.dials.is_empty());
    // One of two.
    let other = shell.later(1);
    assert_eq!(shell.dials.len(), 1);
    shell.release(&grant);
    let grant = shell.granted(&waiter);
    assert_eq!(grant.id, id);
    assert!(shell.begin());
    shell.failed();
    assert!(shell.take(&other).is_some());

    shell.with(|core, _, _| core.returning(id));
    let waiter = shell.later(1);
    assert!(shell.dials.is_empty());
    shell.with(|core, _, actions| core.delayed(id, actions));
    assert_eq!(shell.dials.len(), 1);
    shell.dialed(Speaks::Http1);
    shell.granted(&waiter);

    // It is of no use after all.
    shell.with(|core, _, _| core.returning(id));
    shell.later(1);
    assert!(shell.dials.is_empty());
    shell.with(|core, now, actions| core.release(id, false, now, actions));
    assert_eq!(shell.dials.len(), 1);
}

#[test]
fn the_origin_that_was_asked_for_last_needs_no_look_up() {
    let mut shell = Shell::new(limits());
    // Nobody was asked for yet.
    assert!(shell.again(1).is_none());
    let waiter = shell.later(1);
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    // It is busy, and nobody joins the queue by this.
    assert!(shell.again(1).is_none());
    assert_eq!(shell.core.census().waiting, 0);
    shell.release(&grant);
    assert!(shell.again(2).is_none());
    let grant = shell.again(1).expect("it is free");
    assert_eq!((grant.id, grant.carried), (id, 1));
    shell.release(&grant);
    // Another was asked for in the meantime, and this is found by its key.
    shell.later(2);
    assert!(shell.again(1).is_none());
    assert_eq!(shell.now(1).id, id);
}

#[test]
fn nobody_gets_again_what_is_over() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    shell.now += MINUTE;
    assert!(shell.again(1).is_none());
    assert_eq!(shell.closed, [Why::Idle]);
    shell.gone();
    // Its origin is forgotten, and another may be in its place.
    shell.sweep(MINUTE);
    assert!(shell.again(1).is_none());

    let waiter = shell.later(2);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    assert!(shell.again(1).is_none());
    shell.with(|core, _, actions| core.drain(&7, actions));
    assert!(shell.again(2).is_none());
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

/// A waiter gives up as a connection comes free for it. Whichever lock comes first, the next waiter has it, and is woken.
#[cfg(bartizan_loom)]
#[test]
fn loom_a_grant_and_a_cancellation_meet() {
    use loom::{
        sync::{Arc, Mutex},
        thread,
    };

    loom::model(|| {
        let mut shell = Shell::new(Limits {
            per_origin: 1,
            ..limits()
        });
        let busy = shell.later(1);
        let (gives_up, next) = (shell.later(1), shell.later(1));
        shell.core.wake_by(&next, 2);
        shell.dialed(Speaks::Http1);
        let grant = shell.granted(&busy);
        let shell = Arc::new(Mutex::new(shell));
        let releases = thread::spawn({
            let shell = shell.clone();
            move || shell.lock().expect("a shell").release(&grant)
        });
        let cancels =
            |core: &mut TestCore, now, actions: &mut _| core.cancel(gives_up, now, actions);
        shell.lock().expect("a shell").with(cancels);
        releases.join().expect("no panic");
        let mut shell = shell.lock().expect("a shell");
        assert_eq!(shell.woken, [2]);
        shell.granted(&next);
        assert_eq!(shell.core.census().leases, 1);
    });
}
