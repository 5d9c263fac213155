//! The guard that counts one request, from its head to the last byte of its response.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{ConnectInfo, activity::Activity, http::HttpSettings, place::Place};

/// A request in flight. It ends when the last that holds it is dropped.
///
/// The response's body holds one, and every chunk of data another, or the body's own if it is the last: a whole body is handed to
/// hyper at once, and may then wait there for a slow reader for as long as it takes.
#[derive(Debug)]
pub(crate) struct InFlight(Held);

/// Most requests are never shared, and then they cost no allocation.
#[derive(Debug)]
enum Held {
    Alone(Request),
    Shared(Arc<Request>),
}

#[derive(Debug)]
struct Request {
    place: Arc<Place>,
    // Relaxed, both: the count of references orders them before the drop that reads them.
    complete: AtomicBool,
    lost: AtomicBool,
}

impl InFlight {
    /// Begins one. Only the connection's task may.
    pub(crate) fn new(place: &Arc<Place>) -> Self {
        place.connection.request_began();
        Self(Held::Alone(Request {
            place: Arc::clone(place),
            complete: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }))
    }

    /// The same request, held twice.
    pub(crate) fn share(self) -> (Self, Self) {
        let request = match self.0 {
            Held::Alone(request) => Arc::new(request),
            Held::Shared(request) => request,
        };
        let other = Self(Held::Shared(Arc::clone(&request)));
        (Self(Held::Shared(request)), other)
    }

    fn request(&self) -> &Request {
        match &self.0 {
            Held::Alone(request) => request,
            Held::Shared(request) => request,
        }
    }

    pub(crate) fn info(&self) -> &ConnectInfo {
        self.request().place.connection.info()
    }

    pub(crate) fn activity(&self) -> &Activity {
        self.request().place.activity()
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        self.request().place.settings()
    }

    /// Says that nothing more of it is to come.
    pub(crate) fn complete(&self) {
        self.request().complete.store(true, Relaxed);
    }

    /// The same of a tunnel, which ends by itself, or because it has to.
    pub(crate) fn complete_unless_cut(&self) {
        if !self.activity().is_cut() {
            self.complete();
        }
    }

    /// Says that a part of its response was dropped unwritten.
    pub(crate) fn lose(&self) {
        self.request().lost.store(true, Relaxed);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let finished = *self.complete.get_mut() && !*self.lost.get_mut();
        self.place.connection.request_ended(finished);
    }
}
