//! One connection, frame by frame.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::TcpStream;

use super::frame::{Frame, PAYLOAD, block};
use crate::socket::{read, write};

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The client at the other end of a connection of an [`H2Script`](super::H2Script).
///
/// Only [`request`](Self::request) and [`until_gone`](Self::until_gone) answer SETTINGS and PING by themselves. What is sent to a
/// client that has left is lost, as it would be on the wire; that it has left is what the `None` of [`frame`](Self::frame) says.
///
/// # Cancellation
///
/// Dropping the future of [`frame`](Self::frame) loses nothing. Dropping one that sends, answers included, may leave half a frame on
/// the wire.
pub struct Peer {
    stream: TcpStream,
    received: BytesMut,
    index: usize,
    answers_pings: bool,
    /// The highest stream that a request came on. Lower ones have trailers.
    latest: u32,
    /// Whether the headers of that request are yet to be completed.
    begun: bool,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, index: usize) -> Self {
        // Frames leave as they are sent. A socket that is gone already says so when it is used.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            received: BytesMut::new(),
            index,
            answers_pings: true,
            latest: 0,
            begun: false,
        }
    }

    /// Whether the client sent its preface, and not nothing.
    ///
    /// # Panics
    ///
    /// If it sent something else.
    pub(super) async fn preface(&mut self) -> bool {
        loop {
            let arrived = self.received.len().min(PREFACE.len());
            assert_eq!(
                self.received[..arrived],
                PREFACE[..arrived],
                "the client does not speak HTTP/2 with prior knowledge"
            );
            if arrived == PREFACE.len() {
                self.received.advance(arrived);
                return true;
            }
            if !self.read().await {
                return false;
            }
        }
    }

    /// How many connections were accepted before this one.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// From now on [`request`](Self::request) and [`until_gone`](Self::until_gone) leave pings unanswered.
    pub const fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// The next frame, whatever it is. `None` when the client has left.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.received) {
                return Some(frame);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The stream of the next request, as soon as its headers are complete; its body may be yet to come. Answers SETTINGS and PING
    /// meanwhile, and ignores all other frames. `None` when the client has left.
    pub async fn request(&mut self) -> Option<u32> {
        loop {
            match self.frame().await? {
                Frame::Headers {
                    stream, complete, ..
                } if stream > self.latest => {
                    self.latest = stream;
                    if complete {
                        return Some(stream);
                    }
                    self.begun = true;
                }
                Frame::Continuation {
                    stream,
                    complete: true,
                    ..
                } if self.begun => {
                    self.begun = false;
                    return Some(stream);
                }
                frame => self.answer(frame).await,
            }
        }
    }

    /// Answers SETTINGS and PING, and ignores all other frames, until the client leaves.
    pub async fn until_gone(&mut self) {
        while let Some(frame) = self.frame().await {
            self.answer(frame).await;
        }
    }

    async fn answer(&self, frame: Frame) {
        match frame {
            Frame::Settings { ack: false, .. } => {
                let values = Vec::new();
                self.send(Frame::Settings { ack: true, values }).await;
            }
            Frame::Ping {
                ack: false,
                payload,
            } if self.answers_pings => self.send(Frame::Ping { ack: true, payload }).await,
            _ => {}
        }
    }

    /// Sends a frame, however wrong it is.
    ///
    /// # Panics
    ///
    /// If it has more than 2^24 - 1 bytes: that cannot even be said.
    pub async fn send(&self, frame: Frame) {
        let mut bytes = BytesMut::new();
        frame.put(&mut bytes);
        self.send_bytes(&bytes).await;
    }

    /// Sends bytes that need not be a frame.
    pub async fn send_bytes(&self, bytes: &[u8]) {
        // A client that has left: the next read says so.
        let _ = write(&self.stream, bytes).await;
    }

    /// Sends SETTINGS: each of [`setting`](super::setting) with its value. The client's acknowledgement is a frame like any other.
    pub async fn settings(&self, values: &[(u16, u32)]) {
        let values = values.to_vec();
        self.send(Frame::Settings { ack: false, values }).await;
    }

    /// Sends the head of a response. What does not fit into one frame goes on in CONTINUATION frames. With `last` there is no body.
    ///
    /// Names have to be in lower case: RFC 9113 section 8.2.1. Nothing checks that here.
    pub async fn headers(&self, stream: u32, status: u16, fields: &[(&str, &str)], last: bool) {
        let status = status.to_string();
        let status = [(":status", status.as_str())];
        self.block(
            stream,
            block(status.into_iter().chain(fields.iter().copied())),
            last,
        )
        .await;
    }

    /// Sends trailers, and ends the stream with them.
    pub async fn trailers(&self, stream: u32, fields: &[(&str, &str)]) {
        self.block(stream, block(fields.iter().copied()), true)
            .await;
    }

    async fn block(&self, stream: u32, mut block: Bytes, last: bool) {
        let first = block.split_to(block.len().min(PAYLOAD));
        let head = Frame::Headers {
            stream,
            block: first,
            last,
            complete: block.is_empty(),
        };
        self.send(head).await;
        while !block.is_empty() {
            let more = Frame::Continuation {
                stream,
                block: block.split_to(block.len().min(PAYLOAD)),
                complete: block.is_empty(),
            };
            self.send(more).await;
        }
    }

    /// Sends bytes of a body, in as many frames as they need, and ends the stream with them if `last`. The client's window is not
    /// watched: it is 65,535 bytes, for each stream and for all together, unless the client has said otherwise.
    pub async fn data(&self, stream: u32, data: impl Into<Bytes>, last: bool) {
        let mut data = data.into();
        loop {
            let piece = data.split_to(data.len().min(PAYLOAD));
            let frame = Frame::Data {
                stream,
                data: piece,
                last: last && data.is_empty(),
            };
            self.send(frame).await;
            if data.is_empty() {
                return;
            }
        }
    }

    /// Sends a whole response.
    pub async fn respond(&self, stream: u32, status: u16, body: impl Into<Bytes>) {
        self.headers(stream, status, &[], false).await;
        self.data(stream, body, true).await;
    }

    /// Sends `RST_STREAM` with one of [`code`](super::code).
    pub async fn reset(&self, stream: u32, code: u32) {
        self.send(Frame::Reset { stream, code }).await;
    }

    /// Sends GOAWAY with one of [`code`](super::code). Requests on streams after `last_stream` were not looked at.
    pub async fn goaway(&self, last_stream: u32, code: u32) {
        let debug = Bytes::new();
        self.send(Frame::GoAway {
            last_stream,
            code,
            debug,
        })
        .await;
    }

    /// Lets the client send that many bytes more on a stream, or, with stream 0, on the connection.
    pub async fn window_update(&self, stream: u32, increment: u32) {
        self.send(Frame::WindowUpdate { stream, increment }).await;
    }

    /// Sends a ping. The client's answer is a frame like any other.
    pub async fn ping(&self, payload: [u8; 8]) {
        let ack = false;
        self.send(Frame::Ping { ack, payload }).await;
    }

    /// `false` when there is nothing more to read.
    async fn read(&mut self) -> bool {
        let mut buffer = [0; PAYLOAD];
        match read(&self.stream, &mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                true
            }
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
