//! Between the task that drives a connection and those that use it.

use std::{fmt, task::Waker};

use super::sync::{Mutex, lock};

/// What the driver of a connection is told: to end, or to see to something that a caller has left with it.
pub(super) struct Handover<P> {
    state: Mutex<State<P>>,
}

struct State<P> {
    driver: Option<Waker>,
    is_killed: bool,
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
                is_killed: false,
                parked: Parked::Nothing,
            }),
        }
    }

    /// Says who drives, at the start of each of its polls. Answers whether it is to end.
    pub(super) fn enter(&self, driver: &Waker) -> bool {
        let mut state = lock(&self.state);
        let before = match &state.driver {
            Some(before) if before.will_wake(driver) => None,
            _ => state.driver.replace(driver.clone()),
        };
        let is_killed = state.is_killed;
        drop(state);
        // Somebody else's code, perhaps.
        drop(before);
        is_killed
    }

    /// Ends the driver. What is parked with it goes with it.
    pub(super) fn kill(&self) {
        let mut state = lock(&self.state);
        state.is_killed = true;
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Leaves `parked` with the driver, and does not wake it yet. Gives it back if there is none any more.
    pub(super) fn park(&self, parked: P) -> Result<(), P> {
        let mut state = lock(&self.state);
        if matches!(state.parked, Parked::Closed) {
            return Err(parked);
        }
        state.parked = Parked::Here(parked);
        Ok(())
    }

    /// Wakes the driver for what is parked.
    pub(super) fn notify(&self) {
        let driver = lock(&self.state).driver.take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Takes what is parked: the driver to see to it, or its owner back again.
    pub(super) fn take(&self) -> Option<P> {
        let mut state = lock(&self.state);
        match &state.parked {
            Parked::Here(_) => {}
            Parked::Nothing | Parked::Closed => return None,
        }
        match std::mem::replace(&mut state.parked, Parked::Nothing) {
            Parked::Here(parked) => Some(parked),
            Parked::Nothing | Parked::Closed => None,
        }
    }

    /// The driver has ended. Answers what was parked, to be dropped without the lock.
    pub(super) fn close(&self) -> Option<P> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut state.parked, Parked::Closed) {
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
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

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
