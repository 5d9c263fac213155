//! Random operations, against what the core's docs promise.

use std::time::Duration;

use proptest::prelude::*;

use super::{super::*, MINUTE, Shell};

#[derive(Clone, Debug)]
enum Op {
    Acquire { key: u8, fresh: bool },
    Take(usize),
    Cancel(usize),
    Release { which: usize, reuse: bool },
    Dialed { http2: bool },
    DialFailed,
    Begin,
    Hurry,
    Gone,
    Lost(usize),
    Upgraded(usize),
    Returning(usize),
    Delayed(usize),
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
        2 => Just(Op::Begin),
        1 => Just(Op::Hurry),
        4 => Just(Op::Gone),
        1 => any::<usize>().prop_map(Op::Lost),
        1 => any::<usize>().prop_map(Op::Upgraded),
        3 => any::<usize>().prop_map(Op::Returning),
        1 => any::<usize>().prop_map(Op::Delayed),
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
                // As the pool does: where the last one went, or anywhere else.
                let got = shell.with(|core, now, actions| {
                    let again = match fresh {
                        false => core.again(|latest| *latest == key, now, actions),
                        true => None,
                    };
                    match again {
                        Some(grant) => Ok(Acquired::Now(grant)),
                        None => core.acquire(&key, speaks, fresh, now, actions),
                    }
                });
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
            Op::Begin if !shell.dials.is_empty() => drop(shell.begin()),
            Op::Begin => {}
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
            Op::Returning(which) => {
                if let Some(at) = pick(&self.grants, which) {
                    let id = self.grants[at].id;
                    let is_http1 =
                        matches!(shell.core.open(id), Some(open) if open.speaks == Speaks::Http1);
                    if is_http1 {
                        shell.with(|core, _, _| core.returning(id));
                    }
                }
            }
            Op::Delayed(which) => {
                if let Some(at) = pick(&self.grants, which) {
                    let id = self.grants[at].id;
                    shell.with(|core, _, actions| core.delayed(id, actions));
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
            let (mut room, mut returning) = (0, 0);
            for (_, slot) in slots {
                if let State::Open(open) = &slot.state {
                    assert!(open.speaks == Speaks::Http2 || open.active <= 1, "busy");
                    assert_eq!(slot.idle.is_linked(), open.active == 0 && !open.is_retired);
                    room += open.room();
                    returning += usize::from(open.is_returning);
                    assert!(open.active > 0 || !open.is_returning);
                }
            }
            assert_eq!(returning, origin.returning);
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
            let is_coming = origin.dialing + origin.closing + returning > 0 || core.untold(at) > 0;
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
