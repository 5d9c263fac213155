//! The moment itself.

use std::time::Duration;

use tokio::time::Instant;

/// Further away than any call lasts, and near enough for every platform's clock to represent it.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The moment by which a whole call, with all its attempts, has to be answered.
///
/// It travels in the extensions of a request. A [layer](super) puts it there; retries read it, to spare
/// themselves a wait that cannot end in time; a handler copies it from the request that it serves to the requests that it makes.
/// The earlier of two is the one that counts: that is [`Ord::min`].
///
/// ```
/// use bartizan_resilience::deadline::Deadline;
/// use http::Request;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let served = Deadline::after(Duration::from_secs(2));
/// tokio::time::advance(Duration::from_millis(500)).await;
/// assert_eq!(served.remaining(), Duration::from_millis(1500));
///
/// let mut nested = Request::new(());
/// nested.extensions_mut().insert(served.min(Deadline::after(Duration::from_secs(30))));
/// assert_eq!(nested.extensions().get(), Some(&served));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// That long from now. What no clock can represent is thirty years.
    pub fn after(limit: Duration) -> Self {
        Self::since(Instant::now(), limit)
    }

    /// That long from `start`, by the same rule.
    pub(crate) fn since(start: Instant, limit: Duration) -> Self {
        Self(start + limit.min(FAR))
    }

    /// When it is.
    pub const fn at(self) -> Instant {
        self.0
    }

    /// How long until then. Zero if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing remains.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_is_the_one_that_counts() {
        let (near, far) = (
            Deadline::after(Duration::from_secs(1)),
            Deadline::after(Duration::from_secs(9)),
        );
        assert_eq!(near.min(far), near);
        assert_eq!(far.min(near), near);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_passed_leaves_nothing() {
        let deadline = Deadline::after(Duration::from_secs(1));
        assert!(!deadline.has_passed());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(deadline.has_passed());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_too_long() {
        assert_eq!(Deadline::after(Duration::MAX).remaining(), FAR);
    }
}
