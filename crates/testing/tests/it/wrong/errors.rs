//! Errors that lose their source, or are lost themselves.

use std::fmt;

use tower_service::Service;

use super::{breaks, call, ready, wrong};

/// An error with a text where a source should be.
#[derive(Debug)]
struct Opaque(String);

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it failed: {}", self.0)
    }
}

impl std::error::Error for Opaque {}

#[test]
fn drops_the_source_of_a_failed_call() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let call = inner.call(());
                Box::pin(async move { call.await.map_err(|error| Opaque(error.to_string()).into()) })
            },
        ),
        errors_keep_their_source,
        "every inner call failed, and the reason is not among the sources of `it failed: the inner call failed`",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back dropped_futures_leak_nothing calls_outlive_their_service
    );
}

#[test]
fn drops_the_source_of_failed_readiness() {
    breaks!(
        wrong(
            |probe| probe,
            |inner, cx| inner
                .poll_ready(cx)
                .map_err(|error| Opaque(error.to_string()).into()),
            call,
        ),
        errors_keep_their_source,
        "the inner `poll_ready` failed, and the reason is not among the sources",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back dropped_futures_leak_nothing calls_outlive_their_service
    );
}

#[test]
fn hides_failures() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |inner| {
                let call = inner.call(());
                Box::pin(async move { call.await.or(Ok(())) })
            },
        ),
        errors_keep_their_source,
        "it succeeded although every inner call failed"
    );
}
