//! The guard that counts one request, from its head to the last byte of its response.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{activity::Activity, drain::Connection};

/// A request in flight. Clones are the same request, and it ends when the last of them is dropped.
///
/// The response's body holds one, and every chunk of data another: a whole body is handed to hyper at once, and may then wait
/// there for a slow reader for as long as it takes.
#[derive(Clone, Debug)]
pub(crate) struct InFlight(Arc<Request>);

#[derive(Debug)]
struct Request {
    connection: Arc<Connection>,
    number: u64,
    // Relaxed, both: the count of references orders them before the drop that reads them.
    complete: AtomicBool,
    lost: AtomicBool,
}

impl InFlight {
    pub(crate) fn new(connection: &Arc<Connection>) -> Self {
        let number = connection.request_began();
        Self(Arc::new(Request {
            connection: Arc::clone(connection),
            number,
            complete: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }))
    }

    /// Which one it is on its connection, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    pub(crate) fn activity(&self) -> &Activity {
        self.0.connection.activity()
    }

    /// Says that nothing more of it is to come.
    pub(crate) fn complete(&self) {
        self.0.complete.store(true, Relaxed);
    }

    /// The same of a tunnel, which ends by itself, or because it has to.
    pub(crate) fn complete_unless_cut(&self) {
        if !self.activity().is_cut() {
            self.complete();
        }
    }

    /// Says that a part of its response was dropped unwritten.
    pub(crate) fn lose(&self) {
        self.0.lost.store(true, Relaxed);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let finished = *self.complete.get_mut() && !*self.lost.get_mut();
        self.connection.request_ended(finished);
    }
}
