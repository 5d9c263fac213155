//! Connections that close so that there is room for others under a cap.

use super::*;

#[test]
fn at_the_total_cap_the_least_recently_used_connection_of_another_origin_closes() {
    let mut shell = Shell::new(Limits {
        total: 2,
        ..limits()
    });
    let ids: Vec<_> = [1, 2]
        .into_iter()
        .map(|key| {
            let waiter = shell.later(key);
            let id = shell.dialed(Speaks::Http1);
            let grant = shell.granted(&waiter);
            shell.release(&grant);
            id
        })
        .collect();
    // The first is used once more, so the second has been idle for longer.
    let grant = shell.now(1);
    shell.release(&grant);
    let waiter = shell.later(3);
    assert_eq!(shell.closing, [ids[1]]);
    assert!(shell.dials.is_empty(), "the place is not free yet");
    shell.gone();
    shell.dialed(Speaks::Http1);
    shell.granted(&waiter);
}

#[test]
fn at_the_total_cap_a_busy_origin_yields_to_who_came_first() {
    let mut shell = Shell::new(Limits {
        total: 1,
        ..limits()
    });
    let first = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&first);
    let other = shell.later(2);
    let own = shell.later(1);
    shell.release(&grant);
    assert_eq!(shell.closed, [Why::Room]);
    shell.gone();
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&other);
    shell.release(&grant);
    shell.gone();
    shell.dialed(Speaks::Http1);
    shell.granted(&own);
}

#[test]
fn a_fresh_connection_was_not_idle() {
    let mut shell = Shell::new(Limits {
        per_origin: 2,
        ..limits()
    });
    let waiters = [shell.later(1), shell.later(1)];
    let ids = [shell.dialed(Speaks::Http1), shell.dialed(Speaks::Http1)];
    for waiter in waiters {
        let grant = shell.granted(&waiter);
        shell.release(&grant);
    }
    let fresh = shell.fresh(1);
    assert_eq!(shell.closing, [ids[0]], "the cap stands in the way");
    // Others are not held up by it.
    let other = shell.now(1);
    assert_eq!(other.id, ids[1]);
    shell.gone();
    let id = shell.dialed(Speaks::Http1);
    assert_eq!(shell.granted(&fresh).id, id);
}
