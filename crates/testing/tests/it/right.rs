//! Layers that keep every law: one that does nothing, and one that holds a reservation, which is where most layers go wrong.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_testing::contract;
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;
use tower_service::Service;

contract! {
    mod pass_through {
        layer: |probe| probe,
        request: || (),
        response: || (),
    }

    /// One place: the strictest.
    mod one_at_a_time {
        layer: |probe| ConcurrencyLimit::new(1).layer(probe),
        request: || "request",
        response: || String::from("response"),
    }

    mod three_at_a_time {
        layer: |probe| ConcurrencyLimit::new(3).layer(probe),
        request: || "request",
        response: || String::from("response"),
    }
}

#[derive(Clone)]
struct ConcurrencyLimit {
    semaphore: Arc<Semaphore>,
}

impl ConcurrencyLimit {
    fn new(places: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(places)),
        }
    }
}

impl<S> Layer<S> for ConcurrencyLimit {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited {
            inner,
            semaphore: self.semaphore.clone(),
            place: Place::None,
        }
    }
}

struct Limited<S> {
    inner: S,
    semaphore: Arc<Semaphore>,
    place: Place,
}

enum Place {
    None,
    Queued(Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>),
    Held(OwnedSemaphorePermit),
}

impl<S: Clone> Clone for Limited<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            semaphore: self.semaphore.clone(),
            // A place is one instance's own.
            place: Place::None,
        }
    }
}

impl<S, Req> Service<Req> for Limited<S>
where
    S: Service<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = LimitedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        loop {
            match &mut self.place {
                Place::None => {
                    let semaphore = self.semaphore.clone();
                    self.place = Place::Queued(Box::pin(async {
                        semaphore.acquire_owned().await.expect("is never closed")
                    }));
                }
                Place::Queued(queued) => {
                    self.place = Place::Held(ready!(queued.as_mut().poll(cx)));
                }
                Place::Held(_) => return self.inner.poll_ready(cx),
            }
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let Place::Held(permit) = std::mem::replace(&mut self.place, Place::None) else {
            panic!("called before it was ready");
        };
        LimitedFuture {
            inner: self.inner.call(request),
            permit,
        }
    }
}

pin_project! {
    struct LimitedFuture<F> {
        #[pin]
        inner: F,
        permit: OwnedSemaphorePermit,
    }
}

impl<F: Future> Future for LimitedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(cx)
    }
}

impl<S> fmt::Debug for Limited<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").finish_non_exhaustive()
    }
}
