//! How a request that becomes a tunnel gets past hyper.

use std::cell::RefCell;

use crate::in_flight::InFlight;

thread_local! {
    /// The request that becomes a tunnel with the response being given to hyper on this thread.
    static BECOMES_TUNNEL: RefCell<Option<InFlight>> = const { RefCell::new(None) };
}

/// Says that the response which is returned next, in this very poll, turns its connection, or its stream, into a tunnel.
///
/// The request is in flight for as long as the tunnel is there. Over HTTP/1.1, that is as long as the transport. Over HTTP/2, hyper
/// moves a tunnel's bytes in a task of its own, which it starts when it has that response. There is no other way to the tunnel: what
/// the user gets is hyper's own type.
pub(crate) fn hand_over(request: InFlight) {
    BECOMES_TUNNEL.set(Some(request));
}

/// The request that was [handed over](hand_over) in this very poll.
pub(crate) fn handed_over() -> Option<InFlight> {
    BECOMES_TUNNEL.take()
}

/// Forgets a request that was handed over and that nobody has taken, when it is dropped: also after a panic, or the next tunnel on this thread
/// would be taken for it.
#[derive(Debug)]
pub(crate) struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        drop(handed_over());
    }
}
