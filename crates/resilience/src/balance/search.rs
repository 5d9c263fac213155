//! The way to an endpoint that is ready.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{BoxError, Rejection, RejectionKind};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    NoEndpoint,
    node::Node,
    picker::Picker,
    set::{Set, Shared},
};

/// An endpoint and a service of it: one that is ready, where it comes from a search.
#[derive(Debug)]
pub(super) struct Held<S> {
    pub(super) node: Arc<Node>,
    pub(super) service: S,
}

type Changed = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// What was asked so far, and was not ready. There is none as long as the first one asked is.
pub(super) struct Search<S> {
    /// Who was asked.
    tried: Vec<Arc<Node>>,
    /// Those of them that were busy. They are kept, because their wakers, and their places in queues, go with them.
    waiting: Vec<Held<S>>,
    error: Option<BoxError>,
    changed: Option<Changed>,
}

impl<S> Search<S> {
    const fn new() -> Self {
        Self {
            tried: Vec::new(),
            waiting: Vec::new(),
            error: None,
            changed: None,
        }
    }
}

/// Finds an endpoint that is ready, beginning where `search` stands. `Err` if there is none to wait for.
pub(super) fn poll_search<S, P, Req>(
    shared: &Shared<S, P>,
    set: &mut Arc<Set<S, P>>,
    search: &mut Option<Box<Search<S>>>,
    request: Option<&Req>,
    cx: &mut Context<'_>,
) -> Poll<Result<Held<S>, Rejection>>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Picker<Req>,
{
    if !shared.is_current(set) {
        *set = shared.current();
    }
    let found = match search {
        // The usual case: the first one is ready, and nothing needs to be kept in mind.
        None => match shared.pick(set, &[], request) {
            Some((node, mut service)) => {
                let ready = service.poll_ready(cx);
                if let Poll::Ready(Ok(())) = ready {
                    return Poll::Ready(Ok(Held { node, service }));
                }
                let search = search.insert(Box::new(Search::new()));
                search.note(shared, Held { node, service }, ready);
                search.go_on(shared, set, request, cx)
            }
            None if set.settled || !set.has_no_endpoints() => {
                return Poll::Ready(Err(rejection(set, None)));
            }
            None => search
                .insert(Box::new(Search::new()))
                .go_on(shared, set, request, cx),
        },
        Some(search) => search.go_on(shared, set, request, cx),
    };
    if found.is_ready() {
        // Gives back what others had reserved, or were about to.
        *search = None;
    }
    found
}

impl<S> Search<S> {
    fn go_on<P, Req>(
        &mut self,
        shared: &Shared<S, P>,
        set: &mut Arc<Set<S, P>>,
        request: Option<&Req>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Held<S>, Rejection>>
    where
        S: Service<Req> + Clone,
        S::Error: Into<BoxError>,
        P: Picker<Req>,
    {
        let mut i = 0;
        while let Some(held) = self.waiting.get_mut(i) {
            if held.node.is_removed() {
                self.waiting.swap_remove(i);
                continue;
            }
            match held.service.poll_ready(cx) {
                Poll::Pending => i += 1,
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(self.waiting.swap_remove(i))),
                ready @ Poll::Ready(Err(_)) => {
                    let held = self.waiting.swap_remove(i);
                    self.note(shared, held, ready);
                }
            }
        }
        loop {
            while let Some((node, mut service)) = shared.pick(set, &self.tried, request) {
                let ready = service.poll_ready(cx);
                let held = Held { node, service };
                if let Poll::Ready(Ok(())) = ready {
                    return Poll::Ready(Ok(held));
                }
                self.note(shared, held, ready);
            }
            if self.waiting.is_empty() && (set.settled || !set.has_no_endpoints()) {
                return Poll::Ready(Err(rejection(set, self.error.take())));
            }
            // Before the list is looked at again, so that no change comes in between.
            let changed = self.changed.get_or_insert_with(|| {
                let mut changes = shared.changes();
                Box::pin(async move {
                    // Fails only if there is nobody left to change anything.
                    let _ = changes.changed().await;
                })
            });
            let has_changed = changed.as_mut().poll(cx).is_ready();
            if has_changed {
                self.changed = None;
            }
            if shared.is_current(set) && !has_changed {
                return Poll::Pending;
            }
            *set = shared.current();
        }
    }

    /// It was asked, and was not ready.
    fn note<P, E: Into<BoxError>>(
        &mut self,
        shared: &Shared<S, P>,
        held: Held<S>,
        ready: Poll<Result<(), E>>,
    ) {
        self.tried.push(Arc::clone(&held.node));
        match ready {
            Poll::Ready(Err(error)) => {
                let error = error.into();
                let endpoint = held.node.endpoint().name();
                tracing::debug!(endpoint, error, "balance: an endpoint's readiness failed");
                if let Some(weighing) = shared.weighing {
                    held.node.penalise(Instant::now(), weighing);
                }
                self.error = Some(error);
            }
            Poll::Ready(Ok(())) | Poll::Pending => self.waiting.push(held),
        }
    }
}

fn rejection<S, P>(set: &Set<S, P>, error: Option<BoxError>) -> Rejection {
    // None of the kinds is nearer: nothing was sent, and there is no place to send it to.
    Rejection::new(RejectionKind::Full, "balance")
        .with_source(NoEndpoint::new(set.has_no_endpoints(), error))
}

impl<S> fmt::Debug for Search<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried = self.tried.iter().map(|node| node.endpoint().name());
        f.debug_list().entries(tried).finish()
    }
}
