//! Bytes in, parts out: no I/O, and bounded by its limits.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::{self, Finder};

use super::{MultipartLimits, head::PartHead};

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    /// More bytes are needed.
    Hungry,
    Part(PartHead),
    /// Of the part that began last. Never empty.
    Data(Bytes),
    PartEnd,
    /// What comes after the last boundary is nobody's.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    TooManyParts,
    PartTooLarge,
    HeadTooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary, where there may be anything.
    Preamble,
    /// After a boundary, whose line goes on.
    Delimiter {
        is_padded: bool,
    },
    Head,
    Data,
    End,
}

#[derive(Debug)]
pub(crate) struct Parser {
    buffer: BytesMut,
    state: State,
    /// Finds `CRLF "--" boundary`.
    delimiter: Finder<'static>,
    /// How much of the buffer has no end of a head in it.
    searched: usize,
    parts: usize,
    /// Bytes of the current part.
    in_part: u64,
    limits: MultipartLimits,
}

impl Parser {
    pub(crate) fn new(boundary: &str, limits: MultipartLimits) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            // The first boundary has no line before it that it would end.
            buffer: BytesMut::from("\r\n"),
            state: State::Preamble,
            delimiter: Finder::new(&delimiter).into_owned(),
            searched: 0,
            parts: 0,
            in_part: 0,
            limits,
        }
    }

    /// Takes more bytes, after [`Pull::Hungry`].
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// A fault is final: what comes after it means nothing.
    pub(crate) fn pull(&mut self) -> Result<Pull, Fault> {
        loop {
            match self.state {
                // ## Preamble => (Preamble | Delimiter)
                State::Preamble => match self.delimiter.find(&self.buffer) {
                    Some(at) => self.enter_delimiter(at),
                    None => {
                        let settled = self.settled();
                        self.buffer.advance(settled);
                        return Ok(Pull::Hungry);
                    }
                },
                // ## Delimiter => (Delimiter | Head | End)
                State::Delimiter { is_padded } => match (self.buffer.first(), self.buffer.get(1)) {
                    (Some(b'-'), Some(b'-')) if !is_padded => self.state = State::End,
                    (Some(b' ' | b'\t'), _) => {
                        self.buffer.advance(1);
                        self.state = State::Delimiter { is_padded: true };
                    }
                    (Some(b'\r'), Some(b'\n')) => {
                        if self.parts == self.limits.parts {
                            return Err(Fault::TooManyParts);
                        }
                        self.parts += 1;
                        self.searched = 0;
                        self.state = State::Head;
                    }
                    (None | Some(b'-' | b'\r'), None) => return Ok(Pull::Hungry),
                    _ => {
                        return Err(Fault::Malformed(
                            "the line of a boundary has something else in it",
                        ));
                    }
                },
                // ## Head => (Head | Data)
                State::Head => return self.pull_head(),
                // ## Data => (Data | Delimiter)
                State::Data => match self.delimiter.find(&self.buffer) {
                    Some(0) => {
                        self.enter_delimiter(0);
                        return Ok(Pull::PartEnd);
                    }
                    Some(at) => return self.data(at),
                    None => match self.settled() {
                        0 => return Ok(Pull::Hungry),
                        settled => return self.data(settled),
                    },
                },
                State::End => return Ok(Pull::End),
            }
        }
    }

    fn enter_delimiter(&mut self, at: usize) {
        self.buffer.advance(at + self.delimiter.needle().len());
        self.state = State::Delimiter { is_padded: false };
    }

    /// The head begins with the line end of the boundary, so that one without fields ends like every other.
    fn pull_head(&mut self) -> Result<Pull, Fault> {
        const END: &[u8] = b"\r\n\r\n";
        let from = self.searched.saturating_sub(END.len() - 1);
        let end = memmem::find(&self.buffer[from..], END).map(|at| from + at);
        // Where it is not there yet, all but its last byte may be.
        let length = end.unwrap_or(self.buffer.len().saturating_sub(END.len() - 1));
        if length > self.limits.head {
            return Err(Fault::HeadTooLarge);
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(Pull::Hungry);
        };
        let head = self.buffer.split_to(end + END.len());
        // Each line with its end, and no empty one.
        let head = PartHead::parse(&head[2..end + 2]).map_err(Fault::Malformed)?;
        self.in_part = 0;
        self.state = State::Data;
        Ok(Pull::Part(head))
    }

    fn data(&mut self, length: usize) -> Result<Pull, Fault> {
        self.in_part += length as u64;
        if self.in_part > self.limits.part {
            return Err(Fault::PartTooLarge);
        }
        Ok(Pull::Data(self.buffer.split_to(length).freeze()))
    }

    /// How much of the buffer cannot be the beginning of a boundary.
    fn settled(&self) -> usize {
        let (buffer, delimiter) = (&self.buffer[..], self.delimiter.needle());
        let from = buffer.len().saturating_sub(delimiter.len() - 1);
        let unsettled = (from..buffer.len()).find(|&at| delimiter.starts_with(&buffer[at..]));
        unsettled.unwrap_or(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names, file names and data of the parts.
    type Parts = Vec<(String, Option<String>, Vec<u8>)>;

    fn parse(body: &[u8], chunk: usize, limits: MultipartLimits) -> Result<Parts, Option<Fault>> {
        let mut parser = Parser::new("b", limits);
        let mut chunks = body.chunks(chunk);
        let mut parts = Parts::new();
        loop {
            match parser.pull().map_err(Some)? {
                Pull::Hungry => parser.push(chunks.next().ok_or(None)?),
                Pull::Part(head) => parts.push((head.name, head.file_name, Vec::new())),
                Pull::Data(data) => {
                    assert!(!data.is_empty());
                    parts.last_mut().expect("a part").2.extend_from_slice(&data);
                }
                Pull::PartEnd => {}
                Pull::End => return Ok(parts),
            }
        }
    }

    const HEAD: &str = "Content-Disposition: form-data; name=a\r\n\r\n";

    #[test]
    fn bodies_are_read_however_they_are_cut() {
        let body = format!(
            "preamble\r\n--b \t\r\n{HEAD}one\r\n--c\r\n-\r\n--b\r\n\
             content-disposition: form-data; name=\"b\"; filename=\"f\"\r\n\
             content-type: text/plain\r\n\r\n\r\n--b--\r\nepilogue"
        );
        let expected = vec![
            ("a".to_owned(), None, b"one\r\n--c\r\n-".to_vec()),
            ("b".to_owned(), Some("f".to_owned()), Vec::new()),
        ];
        for chunk in 1..body.len() {
            let parts = parse(body.as_bytes(), chunk, MultipartLimits::default());
            assert_eq!(parts.as_ref(), Ok(&expected), "cut every {chunk}");
        }
        let none = parse(b"--b--", 1, MultipartLimits::default());
        assert_eq!(none, Ok(Vec::new()));
    }

    #[test]
    fn what_ends_too_early_never_ends() {
        let body = format!("--b\r\n{HEAD}one\r\n--b--");
        for end in 0..body.len() {
            let parts = parse(&body.as_bytes()[..end], 3, MultipartLimits::default());
            assert_eq!(parts, Err(None), "{end}");
        }
    }

    #[test]
    fn what_is_no_multipart_is_refused() {
        for body in [
            format!("--bc\r\n{HEAD}"),
            format!("--b-\r\n{HEAD}"),
            format!("--b\n{HEAD}"),
            format!("--b --\r\n{HEAD}"),
            "--b\r\n\r\nno head\r\n--b--".to_owned(),
        ] {
            let parts = parse(body.as_bytes(), 1, MultipartLimits::default());
            assert!(matches!(parts, Err(Some(Fault::Malformed(_)))), "{body}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        let limits = MultipartLimits::default().parts(2).part(10).head(100);
        let part = |data: usize| format!("--b\r\n{HEAD}{}\r\n", "x".repeat(data));
        for (body, fault) in [
            (part(10) + &part(10) + "--b--", None),
            (part(1) + &part(1) + &part(1), Some(Fault::TooManyParts)),
            (part(11), Some(Fault::PartTooLarge)),
            (
                format!("--b\r\nx: {}", "y".repeat(1_000)),
                Some(Fault::HeadTooLarge),
            ),
        ] {
            for chunk in [1, 7, 10_000] {
                let found = parse(body.as_bytes(), chunk, limits).err().flatten();
                assert_eq!(found, fault, "{body} in {chunk}");
            }
        }
    }

    #[test]
    fn a_head_at_its_limit_is_the_same_however_it_is_cut() {
        let body = format!("--b\r\n{HEAD}\r\n--b--");
        // With the line end before it, and without the two after it.
        let length = HEAD.len() - 2;
        for chunk in 1..body.len() {
            let read = |head| {
                let limits = MultipartLimits::default().head(head);
                parse(body.as_bytes(), chunk, limits).map(|parts| parts.len())
            };
            assert_eq!(read(length), Ok(1), "cut every {chunk}");
            assert_eq!(read(length - 1), Err(Some(Fault::HeadTooLarge)));
        }
    }

    #[test]
    fn nothing_is_kept_but_what_may_be_a_boundary() {
        let mut parser = Parser::new("b", MultipartLimits::default().part(u64::MAX));
        parser.push(format!("--b\r\n{HEAD}").as_bytes());
        assert!(matches!(parser.pull(), Ok(Pull::Part(_))));
        for data in [&b"x\r\n-"[..], b"\r", b"\r\n--", b"\r\r\r\n"] {
            parser.push(data);
            while parser.pull().expect("no fault") != Pull::Hungry {}
            assert!(parser.buffer.len() < parser.delimiter.needle().len());
        }
    }

    proptest! {
        #[test]
        fn parts_come_back(
            parts in proptest::collection::vec(("[a-z]{1,8}", "[-b\r\nx]{0,40}"), 0..5),
            chunk in 1_usize..50,
        ) {
            let is_free = |data: &str| !format!("{data}\r\n").contains("\r\n--b") && !data.starts_with("--b");
            prop_assume!(parts.iter().all(|(_, data)| is_free(data)));
            let mut body = String::new();
            for (name, data) in &parts {
                body += &format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{data}\r\n");
            }
            body += "--b--\r\n";
            let expected: Parts = parts.into_iter().map(|(name, data)| (name, None, data.into_bytes())).collect();
            prop_assert_eq!(parse(body.as_bytes(), chunk, MultipartLimits::default()), Ok(expected));
        }

        #[test]
        fn bytes_mean_the_same_however_they_are_cut(body in "(--b|\r\n|-|content-disposition: form-data; name=a|[ab:\t ])*", chunk in 1_usize..20) {
            let limits = MultipartLimits::default().parts(3).part(9).head(99);
            let (whole, cut) = (parse(body.as_bytes(), usize::MAX, limits), parse(body.as_bytes(), chunk, limits));
            prop_assert_eq!(whole, cut);
        }
    }
}
