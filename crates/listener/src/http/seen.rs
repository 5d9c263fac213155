//! Whether what was polled before has to be polled again.

use std::task::{Context, Waker};

/// The waker of the last poll.
///
/// What was pending then wakes the same task now: as long as nothing says that it is ready, it need not be polled again. That is a lock
/// for each of them, for every request.
#[derive(Debug, Default)]
pub(crate) struct Seen(Option<Waker>);

impl Seen {
    /// Whether it is the same. From now on it is.
    #[inline]
    pub(crate) fn is_same(&mut self, cx: &Context<'_>) -> bool {
        let is_same = matches!(&self.0, Some(waker) if waker.will_wake(cx.waker()));
        if !is_same {
            self.0 = Some(cx.waker().clone());
        }
        is_same
    }
}
