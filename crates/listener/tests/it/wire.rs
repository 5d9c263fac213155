//! A client that speaks HTTP/2 frame by frame, and need not make sense.

use std::net::SocketAddr;

use bartizan_testing::http2::{self, code};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::within;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RESET: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

pub(crate) const CALM: u32 = code::ENHANCE_YOUR_CALM;

/// The name of a code of RFC 9113 section 7.
pub(crate) const fn name(code: u32) -> &'static str {
    match code {
        code::NO_ERROR => "NO_ERROR",
        code::PROTOCOL_ERROR => "PROTOCOL_ERROR",
        code::INTERNAL_ERROR => "INTERNAL_ERROR",
        code::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
        code::STREAM_CLOSED => "STREAM_CLOSED",
        code::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
        code::REFUSED_STREAM => "REFUSED_STREAM",
        code::CANCEL => "CANCEL",
        code::COMPRESSION_ERROR => "COMPRESSION_ERROR",
        code::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
        _ => "another code",
    }
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let payload = Bytes::copy_from_slice(payload);
    http2::Frame::Other {
        kind,
        flags,
        stream,
        payload,
    }
    .put(&mut bytes);
    bytes.into()
}

/// Literal fields that no table remembers: RFC 7541 section 6.2.2.
pub(crate) fn block<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    http2::block(fields).into()
}

/// One such field.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    block([(name, value)])
}

/// The head of a request.
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
    ];
    block(fields)
}

/// A whole request.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", "/"))
}

pub(crate) struct Wire {
    pub(crate) io: TcpStream,
}

impl Wire {
    /// A connection on which the preface and these settings were sent, and the server's were acknowledged.
    pub(crate) async fn connect(addr: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut io = TcpStream::connect(addr).await.expect("it listens");
        io.set_nodelay(true).expect("a live socket");
        let mut payload = Vec::new();
        for (setting, value) in settings {
            payload.extend(setting.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let mut first = PREFACE.to_vec();
        first.extend(frame(SETTINGS, 0, 0, &payload));
        first.extend(frame(SETTINGS, 1, 0, &[]));
        io.write_all(&first).await.expect("it reads");
        Self { io }
    }

    /// `false` if nobody takes it any longer.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        within(self.io.write_all(bytes)).await.is_ok()
    }

    /// The next frame, or `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.io.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let mut payload = vec![0; length];
        within(self.io.read_exact(&mut payload)).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// Waits for a frame of that kind. `None` at the end.
    pub(crate) async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The code of the last GOAWAY before the end.
    pub(crate) async fn ended(mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            if frame.kind == GOAWAY {
                let bytes = frame.payload[4..8].try_into().expect("four bytes");
                code = Some(u32::from_be_bytes(bytes));
            }
        }
        code
    }
}
