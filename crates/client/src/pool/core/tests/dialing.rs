//! Dials: which begin, and who is told of those that fail.

use super::*;

#[test]
fn a_dial_that_nobody_waits_for_any_more_does_not_begin() {
    let mut shell = Shell::new(Limits {
        total: 2,
        ..limits()
    });
    let waiter = shell.later(1);
    assert!(shell.begin());
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    let (second, third) = (shell.later(1), shell.later(2));
    shell.release(&grant);
    assert_eq!(shell.granted(&second).id, id);
    // The other origin was in line for its place, which is free at once.
    assert!(!shell.begin());
    assert_eq!(shell.dials.front().map(|dial| dial.1), Some(2));
    assert!(shell.begin(), "it has its waiter");
    shell.with(|core, now, actions| core.cancel(third, now, actions));
    assert!(!shell.begin(), "which has gone");
    let census = shell.core.census();
    assert_eq!((census.counts.dialed, census.dialing), (1, 0));
    // One ahead of need has no waiter to begin with.
    let speaks = Some(Speaks::Http1);
    shell.with(|core, now, actions| core.prewarm(&3, speaks, 1, now, actions));
    assert!(shell.begin());
}

#[test]
fn a_failed_dial_is_told_to_all_who_had_waited_for_it() {
    let mut shell = Shell::new(Limits {
        per_origin: 1,
        ..limits()
    });
    let waiters: Vec<_> = (0..4).map(|_| shell.later(1)).collect();
    shell.failed();
    // The others came after the dial began, and get one of their own: all together.
    assert!(shell.take(&waiters[0]).expect("told").is_err());
    assert!(shell.take(&waiters[1]).is_none());
    shell.failed();
    for waiter in &waiters[1..] {
        assert_eq!(shell.take(waiter).expect("told").expect_err("a failure"), 7);
    }
    assert!(shell.dials.is_empty());
}

#[test]
fn one_more_connection_that_fails_is_the_first_waiters_alone() {
    let mut shell = Shell::new(limits());
    let first = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&first);
    let (second, third) = (shell.later(1), shell.later(1));
    shell.dials.swap(0, 1);
    shell.failed();
    assert!(shell.take(&second).expect("told").is_err());
    shell.release(&grant);
    shell.granted(&third);
}
