//! What is kept though nobody waits any more: places, and calls that go on.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use tower_service::Service;

use super::{breaks, ready, wrong};

/// Counts places by hand, so that whoever forgets to give one back leaks it.
#[derive(Default)]
struct Places {
    taken: Arc<AtomicUsize>,
    reserved: bool,
}

impl Clone for Places {
    fn clone(&self) -> Self {
        Self {
            taken: self.taken.clone(),
            reserved: false,
        }
    }
}

impl Places {
    fn reserve(&mut self) -> bool {
        self.reserved = self.reserved
            || self
                .taken
                .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok();
        self.reserved
    }
}

struct GiveBack(Arc<AtomicUsize>);

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

#[test]
fn keeps_the_reservation_of_a_ready_instance_that_is_dropped() {
    breaks!(
        wrong(
            |probe| (probe, Places::default()),
            |(inner, places), cx| {
                if !places.reserve() {
                    return Poll::Pending;
                }
                inner.poll_ready(cx)
            },
            |(inner, places)| {
                places.reserved = false;
                let call = inner.call(());
                let guard = GiveBack(places.taken.clone());
                Box::pin(async move {
                    let _guard = guard;
                    call.await
                })
            },
        ),
        unused_readiness_is_given_back,
        "`poll_ready` waits for ever after ready instances were dropped",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn keeps_the_place_of_a_future_that_is_dropped() {
    breaks!(
        wrong(
            |probe| (probe, Places::default()),
            |(inner, places), cx| {
                if !places.reserve() {
                    return Poll::Pending;
                }
                inner.poll_ready(cx)
            },
            |(inner, places)| {
                places.reserved = false;
                let call = inner.call(());
                let taken = places.taken.clone();
                Box::pin(async move {
                    let answer = call.await;
                    drop(GiveBack(taken));
                    answer
                })
            },
        ),
        dropped_futures_leak_nothing,
        "no answer ever came: on an instance whose future was dropped",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn leaves_its_calls_running() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let call = tokio::spawn(inner.call(()));
                Box::pin(async move { call.await? })
            },
        ),
        dropped_futures_leak_nothing,
        "a future that was dropped after 0 polls left 1 inner calls in flight",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn leaves_its_second_attempt_running() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let mut second = inner.clone();
                let first = inner.call(());
                Box::pin(async move {
                    if first.await.is_ok() {
                        return Ok(());
                    }
                    tokio::spawn(async move {
                        poll_fn(|cx| second.poll_ready(cx)).await?;
                        second.call(()).await
                    })
                    .await?
                })
            },
        ),
        dropped_futures_leak_nothing,
        "left 1 inner calls in flight",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back errors_keep_their_source calls_outlive_their_service
    );
}
