//! Connections that carry one request after the other.

use super::*;

#[test]
fn a_connection_is_used_again() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    assert_eq!((grant.id, grant.carried), (id, 0));
    shell.release(&grant);
    let again = shell.now(1);
    assert_eq!((again.id, again.carried), (id, 1));
    assert!(shell.dials.is_empty());
}

#[test]
fn a_busy_connection_is_not() {
    let mut shell = Shell::new(limits());
    let first = shell.later(1);
    shell.dialed(Speaks::Http1);
    let _busy = shell.granted(&first);
    shell.later(1);
    assert_eq!(shell.dials.len(), 1);
}

#[test]
fn a_connection_that_is_about_to_come_free_is_waited_for_as_long_as_it_is() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.with(|core, _, _| core.returning(id));
    let waiter = shell.later(1);
    assert!(shell.dials.is_empty());
    // One of two.
    let other = shell.later(1);
    assert_eq!(shell.dials.len(), 1);
    shell.release(&grant);
    let grant = shell.granted(&waiter);
    assert_eq!(grant.id, id);
    assert!(shell.begin());
    shell.failed();
    assert!(shell.take(&other).is_some());

    shell.with(|core, _, _| core.returning(id));
    let waiter = shell.later(1);
    assert!(shell.dials.is_empty());
    shell.with(|core, _, actions| core.delayed(id, actions));
    assert_eq!(shell.dials.len(), 1);
    shell.dialed(Speaks::Http1);
    shell.granted(&waiter);

    // It is of no use after all.
    shell.with(|core, _, _| core.returning(id));
    shell.later(1);
    assert!(shell.dials.is_empty());
    shell.with(|core, now, actions| core.release(id, false, now, actions));
    assert_eq!(shell.dials.len(), 1);
}

#[test]
fn the_origin_that_was_asked_for_last_needs_no_look_up() {
    let mut shell = Shell::new(limits());
    // Nobody was asked for yet.
    assert!(shell.again(1).is_none());
    let waiter = shell.later(1);
    let id = shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    // It is busy, and nobody joins the queue by this.
    assert!(shell.again(1).is_none());
    assert_eq!(shell.core.census().waiting, 0);
    shell.release(&grant);
    assert!(shell.again(2).is_none());
    let grant = shell.again(1).expect("it is free");
    assert_eq!((grant.id, grant.carried), (id, 1));
    shell.release(&grant);
    // Another was asked for in the meantime, and this is found by its key.
    shell.later(2);
    assert!(shell.again(1).is_none());
    assert_eq!(shell.now(1).id, id);
}

#[test]
fn nobody_gets_again_what_is_over() {
    let mut shell = Shell::new(limits());
    let waiter = shell.later(1);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    shell.now += MINUTE;
    assert!(shell.again(1).is_none());
    assert_eq!(shell.closed, [Why::Idle]);
    shell.gone();
    // Its origin is forgotten, and another may be in its place.
    shell.sweep(MINUTE);
    assert!(shell.again(1).is_none());

    let waiter = shell.later(2);
    shell.dialed(Speaks::Http1);
    let grant = shell.granted(&waiter);
    shell.release(&grant);
    assert!(shell.again(1).is_none());
    shell.with(|core, _, actions| core.drain(&7, actions));
    assert!(shell.again(2).is_none());
}
