//! The core alone, with a shell that does nothing by itself.

mod closing;
mod dialing;
mod http2;
mod property;
mod reuse;
mod room;
mod waiting;

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
