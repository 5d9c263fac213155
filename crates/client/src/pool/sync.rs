//! The locks and atomics of what two tasks hand to each other: loom's when it checks them, the standard library's otherwise.
//!
//! `RUSTFLAGS="--cfg bartizan_loom" cargo test -p bartizan-client --release --lib loom_` runs the models.

#[cfg(bartizan_loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(bartizan_loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

/// A lock whose holder has panicked is taken all the same: no value behind one is ever left half-changed by code that can panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
