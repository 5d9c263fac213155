//! Clones that take the readiness of their original with them.

use std::{
    sync::Arc,
    task::{Poll, ready},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::{Inner, breaks, call, wrong};

#[test]
fn copies_a_flag_that_says_ready() {
    breaks!(
        wrong(
            |probe| (probe, false),
            |(inner, is_ready), cx| {
                if !*is_ready {
                    ready!(inner.poll_ready(cx))?;
                    *is_ready = true;
                }
                Poll::Ready(Ok(()))
            },
            |(inner, is_ready)| {
                *is_ready = false;
                call(inner)
            },
        ),
        clones_start_unready,
        "the probe was called on an instance that was not ready",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}

/// A limit of one whose permit is cloned with it.
#[derive(Clone)]
struct SharedPermit {
    inner: Inner,
    semaphore: Arc<Semaphore>,
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

#[test]
fn shares_its_reservation_with_its_clones() {
    breaks!(
        wrong(
            |inner| SharedPermit {
                inner,
                semaphore: Arc::new(Semaphore::new(1)),
                permit: None,
            },
            |limit, cx| {
                if limit.permit.is_none() {
                    match limit.semaphore.clone().try_acquire_owned() {
                        Ok(permit) => limit.permit = Some(Arc::new(permit)),
                        // A place is free again only when a call ends, which no law waits for here.
                        Err(_) => return Poll::Pending,
                    }
                }
                limit.inner.poll_ready(cx)
            },
            |limit| {
                let permit = limit.permit.take();
                let call = limit.inner.call(());
                Box::pin(async move {
                    let _permit = permit;
                    call.await
                })
            },
        ),
        clones_start_unready,
        "clones of a ready instance get 9 calls through at once where clones of an idle one get 1",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}
