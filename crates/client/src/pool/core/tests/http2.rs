//! Connections that carry many requests at once.

use super::*;

#[test]
fn http2_streams_are_as_many_as_the_peer_says() {
    let mut shell = Shell::new(limits());
    let waiters: Vec<_> = (0..25).map(|_| shell.later_unknown(1)).collect();
    assert_eq!(shell.dials.len(), 1, "the first says what is spoken");
    let id = shell.dialed(Speaks::Http2);
    assert_eq!(
        shell.core.census().leases,
        1,
        "one, until the peer has said"
    );
    assert!(shell.dials.is_empty(), "the peer has yet to say");
    shell.streams(id, 10);
    assert_eq!(shell.core.census().leases, 10);
    assert_eq!(shell.dials.len(), 2, "for fifteen more");
    for _ in 0..2 {
        let id = shell.dialed(Speaks::Http2);
        shell.streams(id, 10);
    }
    for waiter in &waiters {
        shell.granted(waiter);
    }
    assert_eq!(shell.open.len(), 3);
}

#[test]
fn the_least_loaded_http2_connection_is_taken() {
    let mut shell = Shell::new(limits());
    let waiters: Vec<_> = (0..3).map(|_| shell.later_unknown(1)).collect();
    let busy = shell.dialed(Speaks::Http2);
    shell.streams(busy, 2);
    let idle = shell.dialed(Speaks::Http2);
    shell.streams(idle, 2);
    let grants: Vec<_> = waiters.iter().map(|waiter| shell.granted(waiter)).collect();
    shell.release(&grants[0]);
    shell.release(&grants[1]);
    assert_eq!(shell.now(1).id, busy);
}

#[test]
fn strictly_one_http2_connection_stays_one() {
    let mut shell = Shell::new(Limits {
        http2_per_origin: 1,
        ..limits()
    });
    let waiters: Vec<_> = (0..3).map(|_| shell.later_unknown(1)).collect();
    let hurried = shell.dials[0].0;
    shell.with(|core, _, actions| core.hurry(hurried, actions));
    assert_eq!(shell.dials.len(), 3, "nobody knows yet");
    let id = shell.dialed(Speaks::Http2);
    shell.dialed(Speaks::Http2);
    shell.dialed(Speaks::Http2);
    assert_eq!(shell.closed, [Why::Room, Why::Room]);
    shell.streams(id, 1);
    let grant = shell.granted(&waiters[0]);
    assert!(shell.dials.is_empty() && shell.take(&waiters[1]).is_none());
    shell.release(&grant);
    shell.granted(&waiters[1]);
}

#[test]
fn a_retired_http2_connection_ends_with_its_last_stream() {
    let mut shell = Shell::new(limits());
    let waiters = [shell.later_unknown(1), shell.later_unknown(1)];
    let id = shell.dialed(Speaks::Http2);
    shell.streams(id, 5);
    let grants = waiters.map(|waiter| shell.granted(&waiter));
    shell.with(|core, _, actions| core.retire(id, actions));
    let waiter = shell.later_unknown(1);
    assert_eq!(shell.dials.len(), 1, "a new one for a new request");
    shell.release(&grants[0]);
    assert!(shell.closed.is_empty());
    shell.release(&grants[1]);
    assert_eq!(shell.closed, [Why::Retired]);
    let id = shell.dialed(Speaks::Http2);
    assert_eq!(shell.granted(&waiter).id, id);
}
