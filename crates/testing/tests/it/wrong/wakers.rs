//! Tasks that are never woken, and tasks that wake themselves.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Waker},
};

use tower_service::Service;

use super::{breaks, call, ready, wrong};

#[test]
fn waits_for_readiness_with_no_waker() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, _| inner.poll_ready(&mut Context::from_waker(Waker::noop())),
            call,
        ),
        a_pending_inner_service_is_waited_for,
        "its task was not woken when the inner service became ready",
        keeps a_good_call_gets_through readiness_is_honoured it_never_wakes_itself clones_start_unready
              unused_readiness_is_given_back dropped_futures_leak_nothing calls_outlive_their_service
    );
}

#[test]
fn waits_for_the_answer_with_no_waker() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let mut call = inner.call(());
                Box::pin(poll_fn(move |_| {
                    Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()))
                }))
            },
        ),
        a_pending_inner_service_is_waited_for,
        "its task was not woken when the inner service answered",
        keeps a_good_call_gets_through readiness_is_honoured it_never_wakes_itself errors_keep_their_source
    );
}

#[test]
fn wakes_itself_until_the_inner_service_is_ready() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, cx| {
                let polled = inner.poll_ready(cx);
                if polled.is_pending() {
                    cx.waker().wake_by_ref();
                }
                polled
            },
            call,
        ),
        it_never_wakes_itself,
        "it woke its task while the inner service was not ready",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for clones_start_unready
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}

#[test]
fn wakes_itself_until_the_inner_service_answers() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let mut call = inner.call(());
                Box::pin(poll_fn(move |cx| {
                    let polled = Pin::new(&mut call).poll(cx);
                    if polled.is_pending() {
                        cx.waker().wake_by_ref();
                    }
                    polled
                }))
            },
        ),
        it_never_wakes_itself,
        "it woke its task while the inner service had not answered",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for clones_start_unready
              unused_readiness_is_given_back dropped_futures_leak_nothing errors_keep_their_source calls_outlive_their_service
    );
}
