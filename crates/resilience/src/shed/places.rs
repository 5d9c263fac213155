//! The places, and the queue for them.

#[cfg(not(bartizan_loom))]
use std::sync::Mutex;
use std::{
    mem,
    ops::Deref,
    sync::{Arc, PoisonError},
    task::Waker,
    time::Duration,
};

#[cfg(bartizan_loom)]
use loom::sync::Mutex;
use tokio::time::Instant;

use super::{
    codel::Codel,
    queue::{Queue, Settled},
};
use crate::{
    stripes::{Held, Lanes},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The lowest bit of the word: somebody is in the queue, so places go there.
const QUEUED: usize = 1;
/// The others count the free places.
const PLACE: usize = 2;

/// Shared by everything one layer made.
///
/// While nobody waits, taking and giving back a place is one exchange on `word`. As soon as somebody does, both go through the queue's
/// lock, so that a place goes to whom the queue chooses and to nobody who comes by. Only the holder of the lock sets and clears
/// `QUEUED`, so under the lock a word that has it stands still.
#[derive(Debug)]
pub(super) struct Places {
    word: AtomicUsize,
    count: usize,
    queue_limit: usize,
    queue: Mutex<Queue>,
}

/// What becomes of one who wants a place.
#[derive(Debug)]
pub(super) enum Admission {
    Placed(Place),
    Waiting { ticket: Ticket, limit: Duration },
    QueueFull,
}

/// What has become of one who waits.
#[derive(Debug)]
pub(super) enum Progress {
    Placed(Place),
    Waiting,
    Shed { waited: Duration },
}

/// A place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place(Held<Arc<Places>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A stand in the queue. Dropping it leaves the queue, and gives back a place that was granted meanwhile.
#[derive(Debug)]
pub(super) struct Ticket {
    places: Held<Arc<Places>>,
    number: u64,
}

/// The way to the places, for whoever wants one. Clones lead to the same.
#[derive(Clone, Debug)]
pub(super) struct Door(Lanes<Arc<Places>>);

impl Door {
    pub(super) fn new(count: usize, queue_limit: usize, codel: Codel) -> Self {
        Self(Lanes::new(&Arc::new(Places::new(
            count,
            queue_limit,
            codel,
        ))))
    }

    /// Takes a place if one is free and nobody waits for it.
    pub(super) fn try_take(&self) -> Option<Place> {
        self.0.try_take().then(|| Place(self.0.hold()))
    }

    /// Takes a place, or a stand in the queue.
    pub(super) fn admit(&self, now: Instant, waker: &Waker) -> Admission {
        if let Some(place) = self.try_take() {
            return Admission::Placed(place);
        }
        // Before the lock, as it is somebody else's code that runs.
        let waker = waker.clone();
        let mut evicted = None;
        let admission = {
            let mut queue = self.0.queue();
            if queue.waiting.len() >= self.0.queue_limit {
                // In an overload the one who came last is the one who still has time.
                evicted = queue.evict(now);
                if evicted.is_none() {
                    queue.shed += 1;
                    // A place that came free just now is for the next.
                    return Admission::QueueFull;
                }
            }
            if self.0.mark_queued() {
                let limit = queue.codel.longest_wait(now);
                Admission::Waiting {
                    ticket: Ticket {
                        places: self.0.hold(),
                        number: queue.enter(now, waker),
                    },
                    limit,
                }
            } else {
                Admission::Placed(Place(self.0.hold()))
            }
        };
        if let Some(waker) = evicted {
            waker.wake();
        }
        admission
    }
}

impl Deref for Door {
    type Target = Places;

    fn deref(&self) -> &Places {
        &self.0
    }
}

impl Places {
    fn new(count: usize, queue_limit: usize, codel: Codel) -> Self {
        Self {
            word: AtomicUsize::new(count * PLACE),
            count,
            queue_limit,
            queue: Mutex::new(Queue::new(codel)),
        }
    }

    #[cfg(not(bartizan_loom))]
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(bartizan_loom)]
    fn queue(&self) -> loom::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place off the word, if one is free and nobody waits for it.
    fn try_take(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= PLACE && word & QUEUED == 0 {
            // Acquire, for what the one who gave it back did before.
            match self.word.compare_exchange_weak(
                word,
                word - PLACE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(actual) => word = actual,
            }
        }
        false
    }

    /// Says that somebody waits; or takes a place, if one came free meanwhile. The queue is locked.
    fn mark_queued(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            let (next, is_queued) = if word >= PLACE {
                (word - PLACE, false)
            } else {
                (word | QUEUED, true)
            };
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return is_queued,
                Err(actual) => word = actual,
            }
        }
        true
    }

    fn give_back(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            match self.word.compare_exchange_weak(
                word,
                word + PLACE,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
        let mut wakers = Vec::new();
        {
            let mut queue = self.queue();
            if !queue.grant(Instant::now(), &mut wakers) {
                self.word.fetch_add(PLACE, Ordering::Release);
            }
            self.unmark_if_empty(&queue);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The queue is locked.
    fn unmark_if_empty(&self, queue: &Queue) {
        if queue.waiting.is_empty() {
            self.word.fetch_and(!QUEUED, Ordering::Release);
        }
    }

    pub(super) fn in_use(&self) -> usize {
        self.count - self.word.load(Ordering::Relaxed) / PLACE
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    pub(super) fn shed(&self) -> u64 {
        self.queue().shed
    }

    pub(super) fn is_overloaded(&self, now: Instant) -> bool {
        self.queue().codel.is_overloaded(now)
    }
}

impl Ticket {
    /// What has become of it. `waker` is woken when there is news.
    pub(super) fn poll(&mut self, waker: &Waker) -> Progress {
        // Cloned before the lock and dropped after it, as it is somebody else's code that runs.
        let mut waker = waker.clone();
        let mut queue = self.places.queue();
        if let Some(waiter) = queue.waiting.get_mut(&self.number) {
            mem::swap(&mut waiter.waker, &mut waker);
            drop(queue);
            return Progress::Waiting;
        }
        match queue.settled.remove(&self.number) {
            Some(Settled::Granted) => Progress::Placed(Place(self.places.clone())),
            Some(Settled::Shed { waited }) => Progress::Shed { waited },
            // It was told before.
            None => Progress::Waiting,
        }
    }

    /// Its time is up. A place that was granted in the last moment is taken all the same.
    pub(super) fn expire(&mut self, now: Instant) -> Progress {
        {
            let mut queue = self.places.queue();
            if let Some(waiter) = queue.waiting.remove(&self.number) {
                let waited = now.saturating_duration_since(waiter.since);
                queue.codel.observe(now, waited);
                queue.shed += 1;
                self.places.unmark_if_empty(&queue);
                return Progress::Shed { waited };
            }
        }
        self.poll(Waker::noop())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let was_granted = {
            let mut queue = self.places.queue();
            if queue.waiting.remove(&self.number).is_some() {
                self.places.unmark_if_empty(&queue);
                false
            } else {
                matches!(queue.settled.remove(&self.number), Some(Settled::Granted))
            }
        };
        if was_granted {
            self.places.give_back();
        }
    }
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn places(count: usize, queue_limit: usize) -> Door {
        let codel = Codel::new(MS(5), MS(100));
        Door::new(count, queue_limit, codel)
    }

    fn wait(places: &Door) -> Ticket {
        match places.admit(Instant::now(), Waker::noop()) {
            Admission::Waiting { ticket, .. } => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn is_placed(ticket: &mut Ticket) -> Option<Place> {
        match ticket.poll(Waker::noop()) {
            Progress::Placed(place) => Some(place),
            Progress::Waiting | Progress::Shed { .. } => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_calm_queue_serves_in_turn() {
        let places = places(1, 9);
        let first = places.try_take().expect("free");
        let mut tickets = [wait(&places), wait(&places), wait(&places)];
        let mut place = Some(first);
        for ticket in &mut tickets {
            drop(place.take());
            place = is_placed(ticket);
            assert!(place.is_some());
        }
        drop(place);
        assert_eq!((places.in_use(), places.waiting()), (0, 0));
        assert!(places.try_take().is_some(), "nobody waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_who_comes_by_takes_what_the_queue_waits_for() {
        let places = places(1, 9);
        let first = places.try_take().expect("free");
        let mut ticket = wait(&places);
        drop(first);
        assert!(places.try_take().is_none());
        assert!(is_placed(&mut ticket).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_queue_leaves_nothing_behind() {
        let places = places(1, 9);
        let first = places.try_take().expect("free");
        let (granted, waiting) = (wait(&places), wait(&places));
        drop(first);
        drop(waiting);
        drop(granted);
        assert_eq!((places.in_use(), places.waiting()), (0, 0));
        assert!(places.queue().settled.is_empty());
        let first = places.try_take().expect("free");
        drop(wait(&places));
        drop(first);
        assert!(places.try_take().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_standing_queue_serves_who_came_last_and_sheds_who_waited_too_long() {
        let places = places(1, 9);
        let mut place = places.try_take();
        // Every one of them late, for an interval.
        for _ in 0..12 {
            let mut ticket = wait(&places);
            tokio::time::advance(MS(10)).await;
            drop(place.take());
            place = is_placed(&mut ticket);
        }
        assert!(places.is_overloaded(Instant::now()));
        let mut old = wait(&places);
        tokio::time::advance(MS(5)).await;
        let (mut first, mut second) = (wait(&places), wait(&places));
        drop(place);
        assert!(is_placed(&mut first).is_none());
        assert!(is_placed(&mut second).is_some());
        let progress = old.poll(Waker::noop());
        assert!(matches!(progress, Progress::Shed { waited } if waited == MS(5)));
        assert_eq!(places.shed(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_the_last_when_calm_and_the_first_when_not() {
        let places = places(1, 1);
        let place = places.try_take();
        let mut ticket = wait(&places);
        let admission = places.admit(Instant::now(), Waker::noop());
        assert!(matches!(admission, Admission::QueueFull));
        for _ in 0..12 {
            tokio::time::advance(MS(10)).await;
            let now = Instant::now();
            places.queue().codel.observe(now, MS(10));
        }
        let mut last = wait(&places);
        let progress = ticket.poll(Waker::noop());
        assert!(matches!(progress, Progress::Shed { .. }));
        drop(place);
        assert!(is_placed(&mut last).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_granted_in_the_last_moment_is_taken() {
        let places = places(1, 9);
        let place = places.try_take();
        let mut ticket = wait(&places);
        drop(place);
        let progress = ticket.expire(Instant::now());
        assert!(matches!(progress, Progress::Placed(_)));
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::thread;

    use super::*;

    fn places(count: usize) -> Door {
        let codel = Codel::new(Duration::from_secs(5), Duration::from_secs(100));
        Door::new(count, 9, codel)
    }

    /// Whoever waits when the last place is given back gets it.
    #[test]
    fn loom_no_place_is_lost_between_giving_back_and_queueing() {
        loom::model(|| {
            let places = places(1);
            let held = places.try_take().expect("free");
            let giver = thread::spawn(move || drop(held));
            let admission = places.admit(Instant::now(), Waker::noop());
            giver.join().expect("no panic");
            match admission {
                Admission::Placed(place) => drop(place),
                Admission::Waiting { mut ticket, .. } => {
                    let progress = ticket.poll(Waker::noop());
                    assert!(matches!(progress, Progress::Placed(_)), "a lost place");
                }
                Admission::QueueFull => panic!("there is room"),
            }
            assert_eq!(places.in_use(), 0);
            assert!(places.try_take().is_some());
        });
    }

    /// A stand that is left while a place is granted to it passes the place on.
    #[test]
    fn loom_leaving_the_queue_loses_no_place() {
        loom::model(|| {
            let places = places(1);
            let held = places.try_take().expect("free");
            let giver = thread::spawn(move || drop(held));
            drop(places.admit(Instant::now(), Waker::noop()));
            giver.join().expect("no panic");
            assert_eq!(places.in_use(), 0);
            assert!(places.try_take().is_some());
        });
    }

    /// There are never more places in use than there are.
    #[test]
    fn loom_nobody_gets_a_place_that_is_taken() {
        loom::model(|| {
            let places = places(1);
            let other = places.clone();
            let taker = thread::spawn(move || other.try_take());
            let mine = places.try_take();
            let theirs = taker.join().expect("no panic");
            assert_eq!(u8::from(mine.is_some()) + u8::from(theirs.is_some()), 1);
        });
    }
}
