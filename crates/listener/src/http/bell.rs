//! A waker that can be held.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::AcqRel},
    },
    task::{Context, Wake, Waker},
};

/// Whoever rings is noted, and heard when it is released.
const HELD: u8 = 1;
const RUNG: u8 = 2;

/// Wakes a task, unless it is held: then the task is at work for this very waker, and looks itself before it rests.
///
/// To be woken while it runs costs a task a turn, on another core if one is idle.
#[derive(Debug)]
pub(super) struct Bell {
    task: Waker,
    state: AtomicU8,
}

impl Bell {
    fn new(task: Waker) -> Arc<Self> {
        Arc::new(Self {
            task,
            state: AtomicU8::new(0),
        })
    }

    pub(super) fn hold(&self) {
        self.state.swap(HELD, AcqRel);
    }

    /// Whether it was rung meanwhile.
    pub(super) fn release(&self) -> bool {
        self.state.swap(0, AcqRel) & RUNG != 0
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Written by each who rings, so that whoever releases it sees what each of them has done before.
        if self.state.fetch_or(RUNG, AcqRel) & HELD == 0 {
            self.task.wake_by_ref();
        }
    }
}

/// The bell of the task that polled last.
#[derive(Debug, Default)]
pub(super) struct Bells(Option<(Arc<Bell>, Waker)>);

impl Bells {
    /// The bell for this task, and as a waker. A task that is polled again finds its own.
    pub(super) fn of(&mut self, cx: &Context<'_>) -> &(Arc<Bell>, Waker) {
        if !matches!(&self.0, Some((bell, _)) if bell.task.will_wake(cx.waker())) {
            self.0 = None;
        }
        self.0.get_or_insert_with(|| {
            let bell = Bell::new(cx.waker().clone());
            (Arc::clone(&bell), bell.into())
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Counts.
    #[derive(Default)]
    pub(in crate::http) struct Woken(pub(in crate::http) AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn it_wakes_its_task_unless_it_is_held() {
        let (task, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let mut bells = Bells::default();
        let wakers: [Waker; 2] = [Arc::clone(&task).into(), Arc::clone(&other).into()];
        let (bell, waker) = bells.of(&Context::from_waker(&wakers[0])).clone();
        waker.wake_by_ref();
        let given_away = waker.clone();
        given_away.wake();
        assert_eq!(task.0.load(SeqCst), 2);

        bell.hold();
        assert!(!bell.release(), "what was before is not noted");
        bell.hold();
        waker.wake_by_ref();
        assert_eq!(task.0.load(SeqCst), 2);
        assert!(bell.release());
        waker.wake_by_ref();
        assert_eq!(task.0.load(SeqCst), 3);

        let (same, _) = bells.of(&Context::from_waker(&wakers[0]));
        assert!(Arc::ptr_eq(&bell, same));
        let (_, waker) = bells.of(&Context::from_waker(&wakers[1]));
        waker.wake_by_ref();
        assert_eq!(other.0.load(SeqCst), 1);
        assert_eq!(task.0.load(SeqCst), 3);
    }
}
