//! The places, who holds them, and who waits for one: what bulkheads and adaptive limits share.

use std::{
    collections::BTreeMap,
    mem,
    sync::PoisonError,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[cfg(bartizan_loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(bartizan_loom))]
use std::sync::{Mutex, MutexGuard};

/// One place taken, in the low half of the word.
const TAKEN: u64 = 1;
/// One caller waiting, in the high half.
const WAITING: u64 = 1 << 32;

const fn taken(word: u64) -> u64 {
    word % WAITING
}

const fn waiting(word: u64) -> u64 {
    word / WAITING
}

/// A number of places, and a queue for them.
///
/// While nobody waits, a place is taken and given back by one exchange of the word. While somebody waits, all who come and go take
/// the lock, and nobody overtakes. So whoever holds the lock of a queue that is not empty is alone with the word.
///
/// Somebody waits only while at least as many places are taken as there are: who gives one back hands it to the first in line.
#[derive(Debug)]
pub(crate) struct Places {
    word: AtomicU64,
    /// Written under the queue's lock. Whoever reads an old one on the fast path looks again under the lock.
    limit: AtomicU32,
    longest_queue: u32,
    longest_wait: Duration,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// Who waits, first come first. Who is not here any more was given a place.
    waiters: BTreeMap<u64, Waker>,
}

/// What became of a caller that found no free place.
pub(crate) enum Entered {
    /// One was free after all.
    Took(u32),
    Queued(u64),
    Refused,
}

impl Places {
    pub(crate) fn new(limit: u32, longest_queue: u32, longest_wait: Duration) -> Self {
        Self {
            word: AtomicU64::new(0),
            limit: AtomicU32::new(limit),
            longest_queue,
            longest_wait,
            queue: Mutex::default(),
        }
    }

    pub(crate) const fn longest_queue(&self) -> u32 {
        self.longest_queue
    }

    pub(crate) const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn taken(&self) -> u32 {
        half(taken(self.word.load(Ordering::Relaxed)))
    }

    pub(crate) fn waiting(&self) -> u32 {
        half(waiting(self.word.load(Ordering::Relaxed)))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a free place, unless somebody waits for one. Says how many are taken, this one included.
    pub(crate) fn try_take(&self) -> Option<u32> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if waiting(word) > 0 || taken(word) >= u64::from(self.limit()) {
                return None;
            }
            match self.word.compare_exchange_weak(
                word,
                word + TAKEN,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(half(taken(word + TAKEN))),
                Err(current) => word = current,
            }
        }
    }

    /// Takes a place that was given back since, or a place in the queue.
    pub(crate) fn enter(&self, cx: &Context<'_>) -> Entered {
        let waker = cx.waker().clone();
        let mut queue = self.queue();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let is_free = waiting(word) == 0 && taken(word) < u64::from(self.limit());
            if !is_free && waiting(word) >= u64::from(self.longest_queue) {
                return Entered::Refused;
            }
            // To wait is decided on the very word that has no free place: from then on, who gives one back comes to the lock.
            let next = word + if is_free { TAKEN } else { WAITING };
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) if is_free => return Entered::Took(half(taken(next))),
                Ok(_) => break,
                Err(current) => word = current,
            }
        }
        let ticket = queue.next;
        queue.next += 1;
        queue.waiters.insert(ticket, waker);
        Entered::Queued(ticket)
    }

    /// Whether the holder of the ticket was given a place.
    pub(crate) fn poll_place(&self, ticket: u64, cx: &Context<'_>) -> Poll<()> {
        // Wakers are cloned and dropped outside of the lock: they are somebody else's code.
        let waker = cx.waker().clone();
        let _before = match self.queue().waiters.get_mut(&ticket) {
            None => return Poll::Ready(()),
            Some(registered) => mem::replace(registered, waker),
        };
        Poll::Pending
    }

    /// The holder of the ticket goes away. A place that it was given meanwhile goes to the next.
    pub(crate) fn leave(&self, ticket: u64) {
        let mut queue = self.queue();
        let waker = queue.waiters.remove(&ticket);
        match waker {
            Some(_) => {
                self.word.fetch_sub(WAITING, Ordering::Relaxed);
                drop(queue);
            }
            None => {
                drop(queue);
                self.give_back();
            }
        }
    }

    /// Gives a place back, to the first in line if there is a line.
    pub(crate) fn give_back(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        while waiting(word) == 0 {
            match self.word.compare_exchange_weak(
                word,
                word - TAKEN,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
        self.hand_on();
    }

    #[cold]
    fn hand_on(&self) {
        let next = {
            let mut queue = self.queue();
            let word = self.word.load(Ordering::Relaxed);
            if waiting(word) > 0 && taken(word) <= u64::from(self.limit()) {
                self.word.fetch_sub(WAITING, Ordering::Release);
                queue.waiters.pop_first()
            } else {
                // The line has gone, or the limit was lowered and this place with it.
                self.word.fetch_sub(TAKEN, Ordering::Release);
                None
            }
        };
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    /// Changes how many places there are. Who holds one keeps it; who waits gets one if there are more now.
    pub(crate) fn set_limit(&self, limit: u32) {
        let mut served = Vec::new();
        {
            let mut queue = self.queue();
            self.limit.store(limit, Ordering::Relaxed);
            let mut word = self.word.load(Ordering::Relaxed);
            while waiting(word) > 0 && taken(word) < u64::from(limit) {
                word = self.word.fetch_sub(WAITING - TAKEN, Ordering::Release) - WAITING + TAKEN;
                served.extend(queue.waiters.pop_first());
            }
        }
        for (_, waker) in served {
            waker.wake();
        }
    }
}

fn half(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    fn places(limit: u32, queue: u32) -> Places {
        Places::new(limit, queue, Duration::MAX)
    }

    fn queue(places: &Places) -> u64 {
        match places.enter(&Context::from_waker(Waker::noop())) {
            Entered::Queued(ticket) => ticket,
            Entered::Took(_) | Entered::Refused => panic!("expected a place in the queue"),
        }
    }

    fn has_place(places: &Places, ticket: u64) -> bool {
        places
            .poll_place(ticket, &Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn no_more_are_taken_than_there_are() {
        let places = places(2, 0);
        assert_eq!(
            [places.try_take(), places.try_take(), places.try_take()],
            [Some(1), Some(2), None]
        );
        assert!(matches!(
            places.enter(&Context::from_waker(Waker::noop())),
            Entered::Refused
        ));
        places.give_back();
        assert_eq!(places.try_take(), Some(2));
    }

    #[test]
    fn the_first_in_line_is_served_first_and_nobody_overtakes() {
        let places = places(1, 2);
        places.try_take();
        let (first, second) = (queue(&places), queue(&places));
        assert_eq!((places.taken(), places.waiting()), (1, 2));
        places.give_back();
        assert_eq!(places.try_take(), None, "it belongs to the first in line");
        assert!(has_place(&places, first) && !has_place(&places, second));
        places.give_back();
        assert!(has_place(&places, second));
        places.give_back();
        assert_eq!((places.taken(), places.waiting()), (0, 0));
    }

    #[test]
    fn who_leaves_hands_its_place_on() {
        let places = places(1, 3);
        places.try_take();
        let [first, second, third] = [0; 3].map(|_| queue(&places));
        places.leave(second);
        places.give_back();
        places.leave(first);
        assert!(has_place(&places, third));
        places.leave(third);
        assert_eq!((places.taken(), places.waiting()), (0, 0));
        assert_eq!(places.try_take(), Some(1));
    }

    #[test]
    fn a_higher_limit_serves_the_line_and_a_lower_one_takes_places_away() {
        let places = places(1, 3);
        places.try_take();
        let [first, second, third] = [0; 3].map(|_| queue(&places));
        places.set_limit(3);
        assert!(has_place(&places, first) && has_place(&places, second));
        assert_eq!((places.taken(), places.waiting()), (3, 1));

        places.set_limit(1);
        places.give_back();
        places.give_back();
        assert!(!has_place(&places, third));
        assert_eq!((places.taken(), places.waiting()), (1, 1));
        places.give_back();
        assert!(has_place(&places, third));
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use std::{
        sync::{Arc as StdArc, atomic::AtomicBool},
        task::Wake,
    };

    use loom::{sync::Arc, thread};

    use super::*;

    /// Remembers that it was woken. No atomic of loom's: it is looked at when the others have ended.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: StdArc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn enter(places: &Places, woken: &StdArc<Woken>) -> Option<u64> {
        let waker = Waker::from(woken.clone());
        match places.enter(&Context::from_waker(&waker)) {
            Entered::Took(_) => None,
            Entered::Queued(ticket) => Some(ticket),
            Entered::Refused => panic!("the queue is long enough"),
        }
    }

    fn has_place(places: &Places, ticket: u64) -> bool {
        places
            .poll_place(ticket, &Context::from_waker(Waker::noop()))
            .is_ready()
    }

    /// Takes a place, in line if need be, and gives it back.
    fn visit(places: &Places, inside: &AtomicU32) {
        if places.try_take().is_none() {
            if let Some(ticket) = enter(places, &StdArc::default()) {
                while !has_place(places, ticket) {
                    thread::yield_now();
                }
            }
        }
        assert_eq!(
            inside.fetch_add(1, Ordering::SeqCst),
            0,
            "one place, two callers"
        );
        inside.fetch_sub(1, Ordering::SeqCst);
        places.give_back();
    }

    #[test]
    fn loom_no_two_hold_the_one_place() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let places = Arc::new(Places::new(1, 2, Duration::MAX));
            let inside = Arc::new(AtomicU32::new(0));
            let other = {
                let (places, inside) = (places.clone(), inside.clone());
                thread::spawn(move || visit(&places, &inside))
            };
            visit(&places, &inside);
            other.join().unwrap();
            assert_eq!((places.taken(), places.waiting()), (0, 0));
        });
    }

    /// There is one place, and it is taken. What `change` does on another thread makes room for whoever comes meanwhile.
    fn room_reaches_who_waits(change: fn(&Places), taken: u32) {
        loom::model(move || {
            let places = Arc::new(Places::new(1, 1, Duration::MAX));
            places.try_take();
            let other = {
                let places = places.clone();
                thread::spawn(move || change(&places))
            };
            let woken = StdArc::default();
            let ticket = enter(&places, &woken);
            other.join().unwrap();
            if let Some(ticket) = ticket {
                assert!(woken.0.load(Ordering::SeqCst), "nobody would poll it");
                assert!(has_place(&places, ticket));
            }
            assert_eq!((places.taken(), places.waiting()), (taken, 0));
        });
    }

    #[test]
    fn loom_a_place_given_back_reaches_who_waits() {
        room_reaches_who_waits(Places::give_back, 1);
    }

    #[test]
    fn loom_a_raised_limit_reaches_who_waits() {
        room_reaches_who_waits(|places| places.set_limit(2), 2);
    }

    #[test]
    fn loom_who_leaves_the_line_takes_no_place_along() {
        loom::model(|| {
            let places = Arc::new(Places::new(1, 1, Duration::MAX));
            places.try_take();
            let ticket = enter(&places, &StdArc::default()).expect("a place in the queue");
            let other = {
                let places = places.clone();
                thread::spawn(move || places.give_back())
            };
            places.leave(ticket);
            other.join().unwrap();
            assert_eq!((places.taken(), places.waiting()), (0, 0));
        });
    }
}
