//! From bytes to events, without any I/O.

use std::{mem, sync::Arc, time::Duration};

use super::{Event, MAX_EVENT};

/// The parser of the WHATWG's event streams (section 9.2.6). What goes in may be cut anywhere.
///
/// It never keeps more than one line, one event and one id, each within the limit.
#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    with_comments: bool,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The line end was `\r`: if `\n` is next, it belongs to that.
    after_cr: bool,
    /// A byte order mark may only come first.
    is_first: bool,
    name: String,
    data: String,
    /// Of the events to come, and of those that have come.
    id: Arc<str>,
    last_id: Arc<str>,
    retry: Option<Duration>,
}

/// A line or an event is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oversize;

impl Parser {
    /// A parser that continues after the event of that id, or begins if it is empty.
    pub(crate) fn new(last_id: Arc<str>) -> Self {
        Self {
            limit: MAX_EVENT,
            with_comments: false,
            line: Vec::new(),
            after_cr: false,
            is_first: true,
            name: String::new(),
            data: String::new(),
            id: Arc::clone(&last_id),
            last_id,
            retry: None,
        }
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    pub(super) const fn show_comments(&mut self) {
        self.with_comments = true;
    }

    /// The id to go on from: that of the last event, and not of one that never ended.
    pub(super) const fn last_id(&self) -> &Arc<str> {
        &self.last_id
    }

    pub(super) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The next event in `bytes`, of which it takes as many as that needs; `None` if it took them all.
    ///
    /// # Errors
    ///
    /// If a line or an event is larger than the limit. Nothing can follow.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, Oversize> {
        while !bytes.is_empty() {
            if mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (taken, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + taken.len() > self.limit {
                return Err(Oversize);
            }
            self.line.extend_from_slice(taken);
            let Some((end, rest)) = rest.split_first() else {
                *bytes = &[];
                break;
            };
            *bytes = rest;
            self.after_cr = *end == b'\r';
            let line = mem::take(&mut self.line);
            let event = self.read_line(&line)?;
            // Its memory, for the next line.
            self.line = line;
            self.line.clear();
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn read_line(&mut self, mut line: &[u8]) -> Result<Option<Event>, Oversize> {
        if mem::take(&mut self.is_first) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        // A line end is never part of another character, so a line alone decodes as it would within the whole.
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if self.with_comments && line.starts_with(':') => {
                return Ok(Some(self.event(String::new(), Some(value.to_owned()))));
            }
            "data" => {
                // The line ends count, or nothing would bound a number of empty lines.
                if self.data.len() + value.len() > self.limit {
                    return Err(Oversize);
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "event" => value.clone_into(&mut self.name),
            "id" if !value.contains('\0') && *value != *self.id => self.id = value.into(),
            "retry" if !value.is_empty() && value.bytes().all(|it| it.is_ascii_digit()) => {
                // One that is too large for a number is too long to wait for.
                let millis = value.parse().unwrap_or(u64::MAX);
                self.retry = Some(Duration::from_millis(millis));
            }
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.last_id = Arc::clone(&self.id);
        let mut data = mem::take(&mut self.data);
        let name = mem::take(&mut self.name);
        if data.is_empty() {
            return None;
        }
        data.pop();
        Some(Event {
            name,
            ..self.event(data, None)
        })
    }

    fn event(&self, data: String, comment: Option<String>) -> Event {
        Event {
            name: String::new(),
            data,
            id: Arc::clone(&self.last_id),
            retry: self.retry,
            comment,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::new("".into());
        let mut events = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(event) = parser.next(&mut piece).expect("within the limit") {
                events.push(event);
            }
        }
        events
    }

    /// Type, data and id of each event.
    fn read(stream: &str) -> Vec<(String, String, String)> {
        let event = |event: Event| {
            let id = event.id().to_owned();
            (event.name().to_owned(), event.data().to_owned(), id)
        };
        parse(&[stream.as_bytes()]).into_iter().map(event).collect()
    }

    fn messages(stream: &str) -> Vec<String> {
        read(stream).into_iter().map(|(_, data, _)| data).collect()
    }

    fn event(name: &str, data: &str, id: &str) -> (String, String, String) {
        (name.to_owned(), data.to_owned(), id.to_owned())
    }

    /// Of section 9.2.6.
    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(
            messages("data: YHOO\ndata: +2\ndata: 10\n\n"),
            ["YHOO\n+2\n10"]
        );
        assert_eq!(
            read(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
            ),
            [
                event("message", "first event", "1"),
                event("message", "second event", ""),
                event("message", " third event", ""),
            ]
        );
        assert_eq!(messages("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
        assert_eq!(messages("data:test\n\ndata: test\n\n"), ["test", "test"]);
        assert_eq!(
            read("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n"),
            [event("add", "73857293", ""), event("remove", "2153", "")]
        );
    }

    #[test]
    fn data_lines_are_joined_by_newlines() {
        assert_eq!(messages("data: a\ndata\ndata: b\n\n"), ["a\n\nb"]);
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for stream in [
            "data: a\n\n",
            "data: a\r\r",
            "data: a\r\n\r\n",
            "data: a\r\n\n",
            "data: a\n\r",
        ] {
            assert_eq!(messages(stream), ["a"], "{stream:?}");
        }
        assert_eq!(messages("data: a\r\ndata: b\r\n\r\n"), ["a\nb"]);
    }

    #[test]
    fn only_the_first_byte_order_mark_is_none() {
        assert_eq!(messages("\u{feff}data: a\n\n"), ["a"]);
        assert!(messages("\u{feff}\u{feff}data: a\n\n").is_empty());
        assert!(messages("\n\u{feff}data: a\n\n").is_empty());
    }

    #[test]
    fn what_is_no_field_is_nothing() {
        let stream = "Data: a\n data: b\ndata : c\nother: d\n: data: e\n\n";
        assert!(read(stream).is_empty());
    }

    #[test]
    fn ids_last_until_they_change() {
        assert_eq!(
            read(
                "id: 1\ndata: a\n\ndata: b\n\nid: x\0y\ndata: c\n\nid: 2\n\ndata: d\n\nid\ndata: e\n\n"
            ),
            [
                event("message", "a", "1"),
                event("message", "b", "1"),
                event("message", "c", "1"),
                event("message", "d", "2"),
                event("message", "e", ""),
            ]
        );
    }

    #[test]
    fn an_event_that_never_ended_is_none_and_its_id_neither() {
        let mut parser = Parser::new("".into());
        let mut bytes: &[u8] = b"id: 1\ndata: a\n\nid: 2\ndata: b\n";
        assert!(parser.next(&mut bytes).expect("fits").is_some());
        assert!(parser.next(&mut bytes).expect("fits").is_none());
        assert_eq!(&**parser.last_id(), "1");
    }

    #[test]
    fn retry_is_digits_and_nothing_else() {
        for (value, retry) in [
            ("10", Some(10)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("+1", None),
            ("1.5", None),
            ("1s", None),
            ("\u{663}", None),
        ] {
            let events = parse(&[format!("retry: {value}\ndata\n\n").as_bytes()]);
            let expected = retry.map(Duration::from_millis);
            assert_eq!(events[0].retry(), expected, "{value:?}");
        }
    }

    #[test]
    fn broken_utf8_is_replaced() {
        assert_eq!(
            parse(&[b"data: a\xffb\xe2\x82\n\n"])[0].data(),
            "a\u{fffd}b\u{fffd}"
        );
        // One character, cut in two.
        assert_eq!(
            parse(&[b"data: \xe2\x82", b"\xac\n\n"])[0].data(),
            "\u{20ac}"
        );
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let limited = |stream: &[u8]| {
            let mut parser = Parser::new("".into());
            parser.set_limit(10);
            parser.next(&mut &*stream).map(|event| event.is_some())
        };
        assert_eq!(limited(b"data:12345\n\n"), Ok(true));
        assert_eq!(limited(b"data:123456\n\n"), Err(Oversize));
        assert_eq!(limited(b"never ends"), Ok(false));
        assert_eq!(limited(b"never ends!"), Err(Oversize));
        // Eleven empty lines have ten line ends between them.
        assert_eq!(limited(&b"data\n".repeat(11)), Ok(false));
        assert_eq!(limited(&b"data\n".repeat(12)), Err(Oversize));
    }

    #[test]
    fn comments_are_shown_when_asked_for() {
        let mut parser = Parser::new("".into());
        parser.show_comments();
        let mut bytes: &[u8] = b"data: a\n: still here\n:\ndata: b\n\n";
        let mut next = || parser.next(&mut bytes).expect("fits").expect("an event");
        assert_eq!(next().comment(), Some("still here"));
        assert_eq!(next().comment(), Some(""));
        let event = next();
        assert_eq!((event.comment(), event.data()), (None, "a\nb"));
    }

    const LINES: &[&[u8]] = &[
        b"",
        b"data: a",
        b"data",
        b"event:b",
        b"id: 7",
        b"id",
        b"retry: 5",
        b":c",
        b"data:\xe2\x82\xac",
        b"\xef\xbb\xbfdata: d",
        b"data: \xff",
    ];
    const ENDS: &[&[u8]] = &[b"\n", b"\r", b"\r\n"];

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            lines in prop::collection::vec(prop::sample::select(LINES), 0..40),
            ends in prop::collection::vec(prop::sample::select(ENDS), 40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let stream: Vec<u8> = lines.iter().zip(&ends).flat_map(|(line, end)| [*line, *end].concat()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(parse(&pieces), parse(&[&stream]));
        }

        #[test]
        fn what_is_written_is_read(
            sent in prop::collection::vec(("[a-z]{1,5}", "[^\0\r\n]{0,9}", prop::collection::vec("[^\r\n]{0,9}", 1..4)), 0..9),
        ) {
            let mut stream = String::new();
            for (name, id, data) in &sent {
                stream.push_str(&format!("event: {name}\nid: {id}\n"));
                for line in data {
                    stream.push_str(&format!("data: {line}\n"));
                }
                stream.push('\n');
            }
            let expected: Vec<_> = sent.iter().map(|(name, id, data)| event(name, &data.join("\n"), id)).collect();
            prop_assert_eq!(read(&stream), expected);
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 0_usize..20) {
            let mut parser = Parser::new("".into());
            parser.set_limit(limit);
            let mut rest = &bytes[..];
            while let Ok(Some(event)) = parser.next(&mut rest) {
                prop_assert!(event.data().len() <= limit);
            }
        }
    }
}
