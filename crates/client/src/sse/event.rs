//! One event.

use std::{sync::Arc, time::Duration};

/// One event of a stream, or, where they are [asked for](super::EventStream::with_comments), one comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub(super) name: String,
    pub(super) data: String,
    pub(super) id: Arc<str>,
    pub(super) retry: Option<Duration>,
    pub(super) comment: Option<String>,
}

impl Event {
    /// Its type: what `event` says, and `message` if that says nothing.
    pub fn name(&self) -> &str {
        if self.name.is_empty() {
            "message"
        } else {
            &self.name
        }
    }

    /// Its data: the lines of `data`, with a line end between them.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The id of the last event that had one, this one included. Empty if there was none, or an empty one has taken it back.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long to wait before connecting again, as the stream has said last, if it has.
    pub const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The text of a comment, if this is one and no event. Servers send comments to keep the connection alive.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The data as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::is_decode`](crate::Error::is_decode) if it is not JSON, or not of this shape; the message says at which field.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, crate::Error> {
        crate::response::decode_json(self.data.as_bytes(), "the event's data are")
    }
}
