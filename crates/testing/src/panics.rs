//! Panics that are caught where they would be lost, so that they can be raised where the test sees them.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// What `panic!` was given.
fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "a panic without a message"
    }
}

/// Runs `future`. If it panics, `report` is told, before anything that `future` holds is dropped, and the output is `None`.
pub(crate) async fn catch<F: Future>(future: F, report: impl FnOnce(&str)) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut report = Some(report);
    poll_fn(|cx| {
        // Nothing looks at the future again after a panic, except to drop it.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(panic) => {
                if let Some(report) = report.take() {
                    report(message(&*panic));
                }
                Poll::Ready(None)
            }
        }
    })
    .await
}

/// Locks, poisoned or not: what failed a test should not hide behind a second panic about a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
