//! The atomics of the hand-made words: loom's when it checks them, the standard library's otherwise.
//!
//! `RUSTFLAGS="--cfg bartizan_loom" cargo test -p bartizan-resilience --release --lib loom_` runs the models.

#[cfg(bartizan_loom)]
pub(crate) use loom::sync::atomic;
#[cfg(not(bartizan_loom))]
pub(crate) use std::sync::atomic;
