//! Who waits, and in which order they are served.

use super::*;

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let mut shell = Shell::new(Limits {
        per_origin: 1,
        ..limits()
    });
    let waiters: Vec<_> = (0..4).map(|_| shell.later(1)).collect();
    assert_eq!(shell.dials.len(), 1);
    shell.dialed(Speaks::Http1);
    for (served, waiter) in waiters.iter().enumerate() {
        for later in &waiters[served + 1..] {
            assert!(shell.take(later).is_none());
        }
        let grant = shell.granted(waiter);
        shell.release(&grant);
    }
}

#[test]
fn a_cancelled_waiter_hands_its_grant_on() {
    let mut shell = Shell::new(Limits {
        per_origin: 1,
        ..limits()
    });
    let (first, second) = (shell.later(1), shell.later(1));
    shell.core.wake_by(&second, 2);
    shell.dialed(Speaks::Http1);
    shell.with(|core, now, actions| core.cancel(first, now, actions));
    assert_eq!(shell.woken, [2]);
    shell.granted(&second);
}

#[test]
fn a_full_queue_refuses() {
    let mut shell = Shell::new(Limits {
        waiting: 2,
        ..limits()
    });
    shell.later(1);
    shell.later(1);
    assert_eq!(shell.acquire(1).expect_err("full"), Refused::QueueFull);
    shell.later(2);
    assert_eq!(shell.core.census().counts.refused, 1);
}

/// A waiter gives up as a connection comes free for it. Whichever lock comes first, the next waiter has it, and is woken.
#[cfg(bartizan_loom)]
#[test]
fn loom_a_grant_and_a_cancellation_meet() {
    use loom::{
        sync::{Arc, Mutex},
        thread,
    };

    loom::model(|| {
        let mut shell = Shell::new(Limits {
            per_origin: 1,
            ..limits()
        });
        let busy = shell.later(1);
        let (gives_up, next) = (shell.later(1), shell.later(1));
        shell.core.wake_by(&next, 2);
        shell.dialed(Speaks::Http1);
        let grant = shell.granted(&busy);
        let shell = Arc::new(Mutex::new(shell));
        let releases = thread::spawn({
            let shell = shell.clone();
            move || shell.lock().expect("a shell").release(&grant)
        });
        let cancels =
            |core: &mut TestCore, now, actions: &mut _| core.cancel(gives_up, now, actions);
        shell.lock().expect("a shell").with(cancels);
        releases.join().expect("no panic");
        let mut shell = shell.lock().expect("a shell");
        assert_eq!(shell.woken, [2]);
        shell.granted(&next);
        assert_eq!(shell.core.census().leases, 1);
    });
}
