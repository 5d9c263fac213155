//! Between the task that drives a connection and those that use it.

use std::{fmt, task::Waker};

use super::sync::{AtomicBool, Mutex, Ordering, lock};

/// What the driver of a connection is told: to end, or to see to something that a caller has left with it.
///
/// The driver asks with each of its polls, and is hardly ever told anything: the flags keep it from the lock.
pub(super) struct Handover<P> {
    state: Mutex<State<P>>,
    is_killed: AtomicBool,
    /// Whether something is parked. Changed with the lock held.
    is_parked: AtomicBool,
}

struct State<P> {
    driver: Option<Waker>,
    parked: Parked<P>,
}

enum Parked<P> {
    Nothing,
    Here(P),
    /// The driver has ended.
    Closed,
}

impl<P> Handover<P> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                driver: None,
                parked: Parked::Nothing,
            }),
            is_killed: AtomicBool::new(false),
            is_parked: AtomicBool::new(false),
        }
    }

    /// Says who drives, at the start of each of its polls. Answers whether it is to end. `known` is what the driver keeps between them.
    #[inline]
    pub(super) fn enter(&self, known: &mut Option<Waker>, driver: &Waker) -> bool {
        if !matches!(known, Some(known) if known.will_wake(driver)) {
            *known = Some(driver.clone());
            let before = lock(&self.state).driver.replace(driver.clone());
            // Somebody else's code, perhaps.
            drop(before);
        }
        // After the waker is there: whoever kills sets this first, and wakes then.
        self.is_killed.load(Ordering::Acquire)
    }

    /// Ends the driver. What is parked with it goes with it.
    pub(super) fn kill(&self) {
        self.is_killed.store(true, Ordering::Release);
        self.notify();
    }

    /// Leaves `parked` with the driver, and does not wake it yet. Gives it back if there is none any more.
    pub(super) fn park(&self, parked: P) -> Result<(), P> {
        let mut state = lock(&self.state);
        if matches!(state.parked, Parked::Closed) {
            return Err(parked);
        }
        state.parked = Parked::Here(parked);
        self.is_parked.store(true, Ordering::Release);
        Ok(())
    }

    /// Wakes the driver for what is parked.
    pub(super) fn notify(&self) {
        let driver = lock(&self.state).driver.clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Takes what is parked: the driver to see to it, or its owner back again. A driver that does not see yet what was parked is
    /// [woken](Self::notify) for it.
    pub(super) fn take(&self) -> Option<P> {
        if !self.is_parked.load(Ordering::Acquire) {
            return None;
        }
        self.replace(Parked::Nothing)
    }

    /// The driver has ended. Answers what was parked, to be dropped without the lock.
    pub(super) fn close(&self) -> Option<P> {
        self.replace(Parked::Closed)
    }

    fn replace(&self, with: Parked<P>) -> Option<P> {
        let mut state = lock(&self.state);
        if matches!(state.parked, Parked::Closed) {
            return None;
        }
        self.is_parked.store(false, Ordering::Release);
        match std::mem::replace(&mut state.parked, with) {
            Parked::Here(parked) => Some(parked),
            Parked::Nothing | Parked::Closed => None,
        }
    }
}

impl<P> fmt::Debug for Handover<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use std::task::Wake;

    use loom::{sync::Arc, thread};

    use super::*;

    /// A caller parks, sees for itself whether the connection is ready, and wakes the driver if not. The driver makes it ready at some
    /// time, and looks afterwards. One of them sees to it; nobody waits for ever.
    #[test]
    fn loom_what_is_parked_is_taken_once() {
        loom::model(|| {
            let handover = Arc::new(Handover::new());
            let is_ready = Arc::new(AtomicBool::new(false));
            let driver = thread::spawn({
                let (handover, is_ready) = (handover.clone(), is_ready.clone());
                move || {
                    is_ready.store(true, Ordering::SeqCst);
                    handover.take().is_some()
                }
            });
            handover.park(()).expect("the driver is there");
            let by_caller = is_ready.load(Ordering::SeqCst) && handover.take().is_some();
            let by_driver = driver.join().expect("no panic");
            // If neither, the caller wakes the driver, which looks again.
            let on_wake = !by_caller && !by_driver && handover.take().is_some();
            assert_eq!(
                u8::from(by_caller) + u8::from(by_driver) + u8::from(on_wake),
                1
            );
        });
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// A driver that is killed while it says who it is sees it at once, or is woken for it.
    #[test]
    fn loom_a_driver_that_is_killed_ends() {
        loom::model(|| {
            let handover = Arc::new(Handover::<()>::new());
            let woken = std::sync::Arc::new(Woken(AtomicBool::new(false)));
            let killer = thread::spawn({
                let handover = handover.clone();
                move || handover.kill()
            });
            let (mut known, waker) = (None, Waker::from(woken.clone()));
            let ends = handover.enter(&mut known, &waker);
            killer.join().expect("no panic");
            assert!(ends || woken.0.load(Ordering::SeqCst));
            assert!(handover.enter(&mut known, &waker));
        });
    }

    #[test]
    fn loom_what_is_parked_as_the_driver_ends_comes_back() {
        loom::model(|| {
            let handover = Arc::new(Handover::new());
            let driver = thread::spawn({
                let handover = handover.clone();
                move || handover.close().is_some()
            });
            let refused = handover.park(()).is_err();
            assert_ne!(refused, driver.join().expect("no panic"));
        });
    }
}
