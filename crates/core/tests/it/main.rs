//! What the vocabulary promises.

mod body;
mod completion;
mod http_classify;
mod rejection;
mod status_set;
