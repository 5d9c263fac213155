//! Connections that have been unused for too long, or have carried enough, and the end of the pool.

use super::*;

#[test]
fn unused_connections_end_within_one_sweep() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.sweep(MINUTE * 10);
    assert!(shell.closed.is_empty(), "it is in use");
    shell.release(&grant);
    shell.sweep(MINUTE - Duration::from_millis(1));
    assert!(shell.closed.is_empty());
    shell.sweep(Duration::from_millis(1));
    assert_eq!(shell.closed, [Why::Idle]);
    shell.gone();
    assert_eq!(shell.core.census().origins, 1);
    shell.sweep(MINUTE);
    assert_eq!(
        shell.core.census(),
        Census {
            counts: shell.core.counts,
            ..Census::default()
        }
    );
}

#[test]
fn connections_that_are_over_are_not_picked_before_the_sweep() {
    let mut shell = Shell::new(Limits {
        requests: 2,
        ..limits()
    });
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    shell.now += MINUTE;
    shell.later(1);
    assert_eq!(shell.closed, [Why::Idle]);
    shell.dialed(Speaks::Http1);
}

#[test]
fn enough_requests_are_enough() {
    let mut shell = Shell::new(Limits {
        requests: 2,
        ..limits()
    });
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    let grant = shell.now(1);
    shell.release(&grant);
    assert_eq!(shell.closed, [Why::Retired]);
}

#[test]
fn draining_tells_who_waits_and_closes_what_is_unused() {
    let mut shell = Shell::new(Limits {
        per_origin: 2,
        ..limits()
    });
    let waiters = [shell.later(1), shell.later(1), shell.later(1)];
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiters[0]);
    shell.with(|core, _, actions| core.drain(&9, actions));
    for waiter in &waiters[1..] {
        assert_eq!(shell.take(waiter).expect("told").expect_err("drained"), 9);
    }
    assert_eq!(shell.acquire(1).expect_err("drained"), Refused::Draining);
    shell.dialed(Speaks::Http1);
    assert_eq!(shell.closed, [Why::Asked]);
    shell.release(&grant);
    shell.gone();
    shell.gone();
    assert!(shell.core.is_empty());
}
