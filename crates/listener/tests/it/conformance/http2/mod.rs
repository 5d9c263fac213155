//! HTTP/2 (RFC 9113) with HPACK (RFC 7541), by frames.

mod bodies;
mod framing;
mod hpack;
mod kinds;
mod messages;
mod streams;

use std::{fmt, net::SocketAddr};

use bartizan_testing::http2::code::{NO_ERROR, PROTOCOL_ERROR};
use tokio::net::TcpStream;

use super::{Found, Verdict, judge};
use crate::{
    readme,
    wire::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET, SETTINGS, Wire, field, frame,
        get, head, name,
    },
};

use Reaction::{Answered, Closed, Connection, Ignored, Refused, Stream};

/// What a server does about what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// GOAWAY with that code, and the end of the connection.
    Connection(u32),
    /// `RST_STREAM` with that code.
    Stream(u32),
    /// The end of the connection without a word.
    Closed,
    /// The service's 200.
    Answered,
    /// Another status.
    Refused,
    /// Pings are answered, and nothing else comes.
    Ignored,
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Connection(code) => write!(f, "GOAWAY, {}", name(code)),
            Stream(code) => write!(f, "RST_STREAM, {}", name(code)),
            Closed => f.write_str("closed"),
            Answered => f.write_str("served"),
            Refused => f.write_str("refused by a status"),
            Ignored => f.write_str("ignored"),
        }
    }
}

struct Case {
    section: &'static str,
    name: &'static str,
    opening: Opening,
    sent: Vec<u8>,
    allowed: Vec<Reaction>,
}

/// What was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Nothing: not even the preface.
    Nothing,
    /// The preface and settings, both ways.
    Settings,
    /// The same, and a request on stream 1 that was answered.
    Response,
}

fn case(
    section: &'static str,
    name: &'static str,
    sent: impl Frames,
    allowed: Vec<Reaction>,
) -> Case {
    Case {
        section,
        name,
        opening: Opening::Settings,
        sent: sent.bytes(),
        allowed,
    }
}

impl Case {
    fn at(self, opening: Opening) -> Self {
        Self { opening, ..self }
    }
}

/// One frame, or several.
trait Frames {
    fn bytes(self) -> Vec<u8>;
}

impl Frames for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

impl<const N: usize> Frames for [Vec<u8>; N] {
    fn bytes(self) -> Vec<u8> {
        self.concat()
    }
}

/// A connection error (RFC 9113 section 5.4.1). The GOAWAY before the end is a SHOULD.
fn connection(codes: &[u32]) -> Vec<Reaction> {
    let codes = codes.iter().map(|&code| Connection(code));
    codes.chain([Closed]).collect()
}

/// A stream error (section 5.4.2), which may also be treated as one of the connection.
fn stream(codes: &[u32]) -> Vec<Reaction> {
    let codes = codes.iter();
    codes
        .flat_map(|&code| [Stream(code), Connection(code)])
        .collect()
}

/// A malformed request (section 8.1.1): a stream error, before which the server may say what it thinks of it.
fn malformed() -> Vec<Reaction> {
    let mut allowed = stream(&[PROTOCOL_ERROR]);
    allowed.push(Refused);
    allowed
}

fn served() -> Vec<Reaction> {
    vec![Answered]
}

/// A request without a body, of these fields.
fn request(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
}

/// The head of a request whose body is to come.
fn post(stream: u32, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = head("POST", path);
    block.extend(fields.iter().flat_map(|(name, value)| field(name, value)));
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// SETTINGS with one value.
fn set(setting: u16, value: u32) -> Vec<u8> {
    let mut payload = setting.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

impl super::Case for Case {
    type Reaction = Reaction;

    fn title(&self) -> String {
        format!("{}: {}", self.section, self.name)
    }

    async fn try_on(&self, addr: SocketAddr) -> Reaction {
        let mut wire = if self.opening == Opening::Nothing {
            let io = TcpStream::connect(addr).await.expect("it listens");
            Wire { io }
        } else {
            Wire::connect(addr, &[]).await
        };
        if self.opening == Opening::Response {
            wire.send(&get(1)).await;
            while wire.until(DATA).await.expect("a body").flags & END_STREAM == 0 {}
        }
        // It may be closed before the end.
        wire.send(&self.sent).await;
        // A task of the server's may have to run before there is an answer: it has these round trips for it.
        for number in 0..8_u64 {
            wire.send(&frame(PING, 0, 0, &number.to_be_bytes())).await;
            loop {
                let Some(frame) = wire.frame().await else {
                    return Closed;
                };
                let code = |at: usize| {
                    let bytes = frame.payload[at..at + 4].try_into().expect("four bytes");
                    u32::from_be_bytes(bytes)
                };
                match frame.kind {
                    // A graceful end has its reasons elsewhere.
                    GOAWAY if code(4) != NO_ERROR => {
                        let code = code(4);
                        wire.ended().await;
                        return Connection(code);
                    }
                    RESET => return Stream(code(0)),
                    // `:status: 200` is in the static table (RFC 7541 appendix A).
                    HEADERS if frame.payload.first() == Some(&0x88) => return Answered,
                    HEADERS => return Refused,
                    PING if frame.payload == number.to_be_bytes() => break,
                    _ => {}
                }
            }
        }
        Ignored
    }

    fn verdict(&self, reaction: &Reaction) -> Verdict {
        let is_error = |reaction: &Reaction| matches!(reaction, Connection(_) | Stream(_));
        if self.allowed.contains(reaction) {
            Verdict::Right
        } else if is_error(reaction) && self.allowed.iter().any(is_error) {
            Verdict::OtherCode
        } else {
            Verdict::Wrong
        }
    }
}

/// What h2 lets pass. The service never sees the trailers' field; spaces round a value are trimmed wherever one is read over HTTP/1.1.
const WRONG: &[&str] = &[
    "3.4: a preface without settings",
    "8.1: a pseudo-header field in the trailers",
    "8.2.1: a value that begins with a space",
    "8.2.1: a value that ends with a tab",
];

/// An error of the connection as it should be, and called `PROTOCOL_ERROR`: by h2, which hyper and the listener share.
const OTHER_CODE: &[&str] = &[
    "5.1: DATA on a stream that is half-closed",
    "5.1: HEADERS on a stream that is half-closed",
    "6.3: PRIORITY of four bytes",
    "6.4: RST_STREAM of three bytes",
    "6.5: an acknowledgement with settings in it",
    "6.5: SETTINGS of five bytes",
    "6.5.2: INITIAL_WINDOW_SIZE of 2^31",
    "6.7: PING of seven bytes",
    "6.8: GOAWAY of four bytes",
    "6.9: WINDOW_UPDATE of three bytes",
    "7541 2.3.3: a field of index 0",
    "7541 2.3.3: a field that is not in the tables",
    "7541 2.3.3: a name that is not in the tables",
    "7541 4.2: a table of 4,097 bytes",
    "7541 4.2: a size of the table behind the fields",
    "7541 4.2: a field that a size of the table has removed",
    "7541 5.1: an integer that overflows",
    "7541 5.1: an integer that is cut off",
    "7541 5.2: a text that is cut off",
    "7541 5.2: a field that is cut off",
    "7541 5.2: padding of zeros",
    "7541 5.2: padding of eleven bits",
    "7541 5.2: the end of a text in it",
];

#[tokio::test]
async fn each_case_is_reacted_to_as_allowed() {
    let found = Found::of([
        framing::cases(),
        streams::cases(),
        kinds::cases(),
        bodies::cases(),
        messages::cases(),
        hpack::cases(),
    ])
    .await;
    judge(&found, WRONG, OTHER_CODE);
    readme::table("http2", &["Case", "The listener", "Bare hyper"], || {
        let right = [Verdict::Right; 2];
        let rows = found.iter().filter(|found| found.verdicts != right);
        rows.map(Found::row).collect()
    });
}
