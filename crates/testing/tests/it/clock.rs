//! Time that stands still.

use std::time::{Duration, SystemTime};

use bartizan_core::Clock;
use bartizan_testing::ManualClock;

#[test]
fn clones_show_the_same_time() {
    let clock = ManualClock::default();
    let other = clock.clone();
    assert_eq!(other.now(), other.now());

    clock.advance(Duration::from_millis(1500));
    assert_eq!(
        other.now(),
        ManualClock::new().now() + Duration::from_millis(1500)
    );

    other.set(SystemTime::UNIX_EPOCH);
    assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
}
