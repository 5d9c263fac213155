//! Whether a waker has to be handed out again.

use std::task::{Context, Waker};

/// The waker of the last poll.
///
/// Whoever was given it then still has it, and wakes the same task: to give it again would be a lock for each of them, for every request.
/// That is only for those who keep it for as long as they have nothing to say, whatever else wakes the task.
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
