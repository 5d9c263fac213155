//! The helpers that the other crates' tests rely on, and the laws, held against layers that are right and layers that are wrong.

#[cfg(feature = "allocations")]
mod allocations;
mod body;
mod clock;
mod fault;
mod http2;
mod mock;
mod probe;
mod proxy;
mod record;
mod right;
mod server;
mod wrong;

/// What `f` panics with.
fn panic_of(f: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("a panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    }
}
