//! How long to wait before connecting again.

use std::time::Duration;

/// What a server may ask to be waited at most, so that it cannot ask for ever.
pub(super) const LONGEST_RETRY: Duration = Duration::from_secs(60 * 60);
/// What it is at least after a failure: a server that asks for no wait, and is gone then, is not asked in a loop.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(500);
/// What failures in a row may make of it.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// How long to wait after as many failures in a row, and what the server has asked for, with a share of that added.
pub(super) fn wait(retry: Duration, failures: u32, not_before: Duration, added: f64) -> Duration {
    let wait = match failures.checked_sub(1) {
        None => retry,
        Some(before) => {
            let first = retry.max(SHORTEST_BACKOFF);
            let backoff = first.saturating_mul(2_u32.saturating_pow(before));
            // What the stream has asked for is never made less.
            backoff.min(LONGEST_BACKOFF.max(retry))
        }
    };
    let wait = wait.max(not_before);
    wait + wait.mul_f64(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_failures_and_never_below_what_was_asked() {
        let none = Duration::ZERO;
        let seconds =
            |retry, failures| wait(Duration::from_secs(retry), failures, none, 0.0).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 99].map(|n| seconds(3, n)),
            [3, 3, 6, 12, 24, 48, 60, 60]
        );
        assert_eq!([0, 1, 99].map(|n| seconds(600, n)), [600, 600, 600]);
        assert_eq!(seconds(0, 0), 0);
        assert_eq!(wait(none, 1, none, 0.0), SHORTEST_BACKOFF);
        assert_eq!(seconds(0, 99), 60);
        let longest = wait(LONGEST_RETRY, u32::MAX, none, 0.25);
        assert_eq!(longest, LONGEST_RETRY * 5 / 4);
        let asked = Duration::from_secs(20);
        assert_eq!(
            [1, 3, 4].map(|n| wait(Duration::from_secs(3), n, asked, 0.0).as_secs()),
            [20, 20, 24]
        );
    }
}
