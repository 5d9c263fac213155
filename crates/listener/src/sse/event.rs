//! Events, as they go over the wire.

use std::{fmt, time::Duration};

use bartizan_core::ConfigError;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};

/// The longest `Last-Event-ID` that is read, in bytes. It is ours, and comes back as it was sent.
const MAX_ID: usize = 1024;

/// One event: some lines, and an empty one.
///
/// Without data it is not dispatched to the page, but its id and its retry time still count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    comment: Option<String>,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
}

impl Event {
    /// An event with this data, of any lines.
    pub fn data(data: impl Into<String>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::default()
        }
    }

    /// A comment, which clients pass over.
    pub fn comment(comment: impl Into<String>) -> Self {
        Self {
            comment: Some(comment.into()),
            ..Self::default()
        }
    }

    /// Names the event, for the listeners of that name. Default: `message`.
    ///
    /// # Errors
    ///
    /// If there is a line break in it.
    pub fn try_named(mut self, name: &str) -> Result<Self, ConfigError> {
        if name.contains(['\r', '\n']) {
            return Err(ConfigError::new("event name", name, "no line break"));
        }
        self.name = Some(name.to_owned());
        Ok(self)
    }

    /// What the client sends as `Last-Event-ID` if this is the last event it got. An empty one makes it forget.
    ///
    /// # Errors
    ///
    /// If there is a line break or a NUL in it, with which clients pass over the id.
    pub fn try_id(mut self, id: &str) -> Result<Self, ConfigError> {
        if id.contains(['\r', '\n', '\0']) {
            return Err(ConfigError::new(
                "event id",
                id,
                "no line break, and no NUL",
            ));
        }
        self.id = Some(id.to_owned());
        Ok(self)
    }

    /// How long the client waits before it connects again, in whole milliseconds. Browsers wait 3 s to 5 s.
    #[must_use]
    pub const fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// The lines.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut lines = BytesMut::new();
        if let Some(comment) = &self.comment {
            field(&mut lines, "", comment);
        }
        if let Some(name) = &self.name {
            field(&mut lines, "event", name);
        }
        if let Some(id) = &self.id {
            field(&mut lines, "id", id);
        }
        if let Some(retry) = self.retry {
            field(&mut lines, "retry", &retry.as_millis().to_string());
        }
        if let Some(data) = &self.data {
            field(&mut lines, "data", data);
        }
        lines.put_u8(b'\n');
        lines.freeze()
    }
}

/// One line for each line of the value. A client ends lines at `\n`, `\r\n` and `\r`, so all of them have to be ours.
fn field(lines: &mut BytesMut, name: &str, value: &str) {
    let value = value.replace("\r\n", "\n");
    for line in value.split(['\n', '\r']) {
        lines.put_slice(name.as_bytes());
        lines.put_slice(b": ");
        lines.put_slice(line.as_bytes());
        lines.put_u8(b'\n');
    }
}

/// The id of the last event that a client got, as it says when it connects again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEventId(String);

impl LastEventId {
    /// What `Last-Event-ID` says. `None` without it, or if it is no UTF-8, or longer than 1 KiB: then the client begins anew.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let name = HeaderName::from_static("last-event-id");
        let value = headers.get(name)?.as_bytes();
        let text = std::str::from_utf8(value).ok()?;
        (text.len() <= MAX_ID).then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let all = Event::data("a\r\nb\rc\nd")
            .try_named("tick")
            .and_then(|event| event.try_id("7"))
            .expect("valid")
            .retry(Duration::from_millis(1500));
        for (event, expected) in [
            (
                all,
                "event: tick\nid: 7\nretry: 1500\ndata: a\ndata: b\ndata: c\ndata: d\n\n",
            ),
            (Event::data(""), "data: \n\n"),
            (Event::data(" x\n"), "data:  x\ndata: \n\n"),
            (Event::comment(""), ": \n\n"),
            (Event::comment("a\ndata: b"), ": a\n: data: b\n\n"),
            (Event::default(), "\n"),
        ] {
            assert_eq!(event.to_bytes(), expected);
        }
        assert!(Event::default().try_named("a\nb").is_err());
        assert!(Event::default().try_id("a\0").is_err());
    }

    proptest! {
        /// Nothing in data or comment can be another field, or end the event.
        #[test]
        fn nothing_is_injected(data in "[a-z:\r\n ]{0,40}", comment in "[a-z:\r\n ]{0,40}") {
            let mut event = Event::data(data);
            event.comment = Some(comment);
            let bytes = event.to_bytes();
            let text = std::str::from_utf8(&bytes).expect("UTF-8");
            prop_assert!(!text.contains('\r'));
            let body = text.strip_suffix("\n\n").expect("one end");
            for line in body.split('\n') {
                prop_assert!(line.starts_with("data: ") || line.starts_with(": "), "{line}");
            }
        }
    }
}
