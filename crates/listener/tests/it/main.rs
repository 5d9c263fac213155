//! The listener over real sockets.

mod binding;
mod cutting;
mod draining;
// `--all-features` has them all.
#[cfg(all(
    feature = "axum",
    feature = "charset",
    feature = "form",
    feature = "garde",
    feature = "headers",
    feature = "json",
    feature = "multipart",
    feature = "xml"
))]
mod extracting;
mod load;
mod serving;
mod support;
