//! Frames, to bytes and back: RFC 9113 sections 4 and 6. No sockets.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The nine bytes before each payload.
const HEAD: usize = 9;

/// The longest payload that needs no permission: RFC 9113 section 4.2.
pub(super) const PAYLOAD: usize = 16_384;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// A frame of HTTP/2. Padding and priorities are left out when one is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of a body.
    Data {
        /// Whose body.
        stream: u32,
        /// The bytes.
        data: Bytes,
        /// Whether the sender's side of the stream ends with it: `END_STREAM`.
        last: bool,
    },
    /// The start of a header block.
    Headers {
        /// Whose headers.
        stream: u32,
        /// HPACK, not decoded.
        block: Bytes,
        /// Whether the sender's side of the stream ends with it: `END_STREAM`.
        last: bool,
        /// Whether the block is complete: `END_HEADERS`. If not, the next frame has to be the continuation.
        complete: bool,
    },
    /// The end of a stream: `RST_STREAM`.
    Reset {
        /// Which.
        stream: u32,
        /// Why: one of [`code`](super::code).
        code: u32,
    },
    /// Settings, or that they were taken note of.
    Settings {
        /// Whether it answers a SETTINGS frame. One that does has no values.
        ack: bool,
        /// The values, each for one of [`setting`](super::setting).
        values: Vec<(u16, u32)>,
    },
    /// Are you there?
    Ping {
        /// Whether it answers a PING frame.
        ack: bool,
        /// What the answer has to repeat.
        payload: [u8; 8],
    },
    /// The sender takes no more streams.
    GoAway {
        /// The last stream that it has looked at, or will.
        last_stream: u32,
        /// Why: one of [`code`](super::code).
        code: u32,
        /// Whatever helps.
        debug: Bytes,
    },
    /// The receiver may send more.
    WindowUpdate {
        /// On which stream; 0 for the whole connection.
        stream: u32,
        /// How many bytes more.
        increment: u32,
    },
    /// More of a header block.
    Continuation {
        /// Whose headers.
        stream: u32,
        /// HPACK, not decoded.
        block: Bytes,
        /// Whether the block is complete: `END_HEADERS`.
        complete: bool,
    },
    /// PRIORITY, `PUSH_PROMISE`, frames that nobody knows, and frames that are not well formed.
    Other {
        /// Its type.
        kind: u8,
        /// Its flags.
        flags: u8,
        /// Its stream.
        stream: u32,
        /// Its payload.
        payload: Bytes,
    },
}

impl Frame {
    /// The first frame of `received`, which it takes out. `None` if that is not complete yet; then nothing is taken.
    pub fn take(received: &mut BytesMut) -> Option<Self> {
        let head = received.get(..HEAD)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        // The highest bit is reserved, and to be ignored.
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        if received.len() < HEAD + length {
            return None;
        }
        let payload = received.split_to(HEAD + length).freeze().slice(HEAD..);
        let frame = Self::parse(kind, flags, stream, payload.clone());
        Some(frame.unwrap_or(Self::Other {
            kind,
            flags,
            stream,
            payload,
        }))
    }

    /// `None` if the payload is not what that kind of frame has.
    fn parse(kind: u8, flags: u8, stream: u32, mut payload: Bytes) -> Option<Self> {
        let frame = match kind {
            0x0 => Self::Data {
                stream,
                data: without_padding(payload, flags)?,
                last: flags & END_STREAM != 0,
            },
            0x1 => {
                let mut block = without_padding(payload, flags)?;
                if flags & PRIORITY != 0 {
                    if block.len() < 5 {
                        return None;
                    }
                    block.advance(5);
                }
                Self::Headers {
                    stream,
                    block,
                    last: flags & END_STREAM != 0,
                    complete: flags & END_HEADERS != 0,
                }
            }
            0x3 if payload.len() == 4 => Self::Reset {
                stream,
                code: payload.get_u32(),
            },
            0x4 if stream == 0 && payload.len() % 6 == 0 => Self::Settings {
                ack: flags & ACK != 0,
                values: payload
                    .chunks_exact(6)
                    .map(|mut pair| (pair.get_u16(), pair.get_u32()))
                    .collect(),
            },
            0x6 if stream == 0 => Self::Ping {
                ack: flags & ACK != 0,
                payload: payload.as_ref().try_into().ok()?,
            },
            0x7 if stream == 0 && payload.len() >= 8 => Self::GoAway {
                last_stream: payload.get_u32() & 0x7fff_ffff,
                code: payload.get_u32(),
                debug: payload,
            },
            0x8 if payload.len() == 4 => Self::WindowUpdate {
                stream,
                increment: payload.get_u32() & 0x7fff_ffff,
            },
            0x9 => Self::Continuation {
                stream,
                block: payload,
                complete: flags & END_HEADERS != 0,
            },
            _ => return None,
        };
        Some(frame)
    }

    /// Appends the frame's bytes: for a client that is written frame by frame, too.
    ///
    /// ```
    /// use bartizan_testing::http2::{Frame, block};
    /// use bytes::BytesMut;
    ///
    /// let mut out = BytesMut::new();
    /// let block = block([(":method", "GET")]);
    /// Frame::Headers { stream: 1, block, last: true, complete: true }.put(&mut out);
    /// assert_eq!(&out[..9], b"\0\0\x0d\x01\x05\0\0\0\x01");
    /// assert_eq!(&out[9..], b"\0\x07:method\x03GET");
    /// ```
    ///
    /// # Panics
    ///
    /// If the payload is longer than the 24 bits of its length can say.
    pub fn put(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_bytes(0, HEAD);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let (kind, flags, stream) = match self {
            Self::Data { stream, data, last } => {
                out.put_slice(data);
                (0x0, flag(*last, END_STREAM), *stream)
            }
            Self::Headers {
                stream,
                block,
                last,
                complete,
            } => {
                out.put_slice(block);
                let flags = flag(*last, END_STREAM) | flag(*complete, END_HEADERS);
                (0x1, flags, *stream)
            }
            Self::Reset { stream, code } => {
                out.put_u32(*code);
                (0x3, 0, *stream)
            }
            Self::Settings { ack, values } => {
                for (setting, value) in values {
                    out.put_u16(*setting);
                    out.put_u32(*value);
                }
                (0x4, flag(*ack, ACK), 0)
            }
            Self::Ping { ack, payload } => {
                out.put_slice(payload);
                (0x6, flag(*ack, ACK), 0)
            }
            Self::GoAway {
                last_stream,
                code,
                debug,
            } => {
                out.put_u32(*last_stream);
                out.put_u32(*code);
                out.put_slice(debug);
                (0x7, 0, 0)
            }
            Self::WindowUpdate { stream, increment } => {
                out.put_u32(*increment);
                (0x8, 0, *stream)
            }
            Self::Continuation {
                stream,
                block,
                complete,
            } => {
                out.put_slice(block);
                (0x9, flag(*complete, END_HEADERS), *stream)
            }
            Self::Other {
                kind,
                flags,
                stream,
                payload,
            } => {
                out.put_slice(payload);
                (*kind, *flags, *stream)
            }
        };
        let length = u32::try_from(out.len() - start - HEAD).unwrap_or(u32::MAX);
        assert!(
            length < 1 << 24,
            "a frame of HTTP/2 has at most 2^24 - 1 bytes"
        );
        let mut head = &mut out[start..start + HEAD];
        head.put_uint(length.into(), 3);
        head.put_u8(kind);
        head.put_u8(flags);
        head.put_u32(stream);
    }
}

fn without_padding(mut payload: Bytes, flags: u8) -> Option<Bytes> {
    if flags & PADDED != 0 {
        let padding = usize::from(*payload.first()?);
        payload.advance(1);
        payload.truncate(payload.len().checked_sub(padding)?);
    }
    Some(payload)
}

/// A header block: literal fields with literal names, which no table remembers (RFC 7541 section 6.2.2).
pub fn block<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in fields {
        block.put_u8(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    block.freeze()
}

/// A string literal without Huffman coding: RFC 7541 section 5.2.
fn text(text: &str, out: &mut BytesMut) {
    // An integer with a prefix of seven bits: RFC 7541 section 5.1.
    match u8::try_from(text.len()) {
        Ok(length @ ..127) => out.put_u8(length),
        _ => {
            out.put_u8(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                out.put_u8(u8::try_from(rest % 128).unwrap_or_default() | 0x80);
                rest /= 128;
            }
            out.put_u8(u8::try_from(rest).unwrap_or_default());
        }
    }
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let stream = 0..1_u32 << 31;
        prop_oneof![
            (stream.clone(), bytes(), any::<bool>()).prop_map(|(stream, data, last)| Frame::Data {
                stream,
                data,
                last
            }),
            (stream.clone(), bytes(), any::<bool>(), any::<bool>()).prop_map(
                |(stream, block, last, complete)| Frame::Headers {
                    stream,
                    block,
                    last,
                    complete
                }
            ),
            (stream.clone(), any::<u32>()).prop_map(|(stream, code)| Frame::Reset { stream, code }),
            (
                any::<bool>(),
                prop::collection::vec(any::<(u16, u32)>(), 0..4)
            )
                .prop_map(|(ack, values)| Frame::Settings { ack, values }),
            (any::<bool>(), any::<[u8; 8]>())
                .prop_map(|(ack, payload)| Frame::Ping { ack, payload }),
            (stream.clone(), any::<u32>(), bytes()).prop_map(|(last_stream, code, debug)| {
                Frame::GoAway {
                    last_stream,
                    code,
                    debug,
                }
            }),
            (stream.clone(), stream.clone())
                .prop_map(|(stream, increment)| Frame::WindowUpdate { stream, increment }),
            (stream.clone(), bytes(), any::<bool>()).prop_map(|(stream, block, complete)| {
                Frame::Continuation {
                    stream,
                    block,
                    complete,
                }
            }),
            (10..=255_u8, any::<u8>(), stream, bytes()).prop_map(
                |(kind, flags, stream, payload)| Frame::Other {
                    kind,
                    flags,
                    stream,
                    payload
                }
            ),
        ]
    }

    #[test]
    fn padding_and_priorities_are_left_out() {
        let padded = |flags, payload: &[u8]| {
            Frame::parse(0x1, flags, 1, Bytes::copy_from_slice(payload)).map(|frame| match frame {
                Frame::Headers { block, .. } => block,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(padded(PADDED, b"\x02ab\0\0").unwrap(), "ab");
        assert_eq!(
            padded(PADDED | PRIORITY, b"\x01\0\0\0\0\x10ab\0").unwrap(),
            "ab"
        );
        // More padding than payload, and less priority than there has to be.
        assert_eq!(padded(PADDED, b"\x03ab"), None);
        assert_eq!(padded(PADDED, b""), None);
        assert_eq!(padded(PRIORITY, b"\0\0\0\0"), None);
    }

    #[test]
    fn a_frame_that_is_not_well_formed_is_another() {
        // PING of seven bytes.
        let mut received = BytesMut::from(&b"\0\0\x07\x06\0\0\0\0\0-------"[..]);
        let frame = Frame::take(&mut received).unwrap();
        assert!(matches!(frame, Frame::Other { kind: 6, .. }), "{frame:?}");
        assert!(received.is_empty());
    }

    #[test]
    fn a_block_is_that_of_rfc_7541() {
        // Appendix C.2.2 has this form, with an index in place of the name.
        assert_eq!(&block([("a", "bc")])[..], b"\0\x01a\x02bc");
        // Section 5.1: 1337 in five bits is 31, 154, 10; in seven bits it is 127, 186, 9.
        let value = "x".repeat(1337);
        let long = block([("a", value.as_str())]);
        assert_eq!(&long[..6], b"\0\x01a\x7f\xba\x09");
        assert_eq!(long.len(), 6 + 1337);
        let value = "x".repeat(127);
        assert_eq!(&block([("a", value.as_str())])[3..6], b"\x7f\0x");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(frames in prop::collection::vec(frames(), 0..5), cut in any::<prop::sample::Index>()) {
            let mut out = BytesMut::new();
            for frame in &frames {
                frame.put(&mut out);
            }
            // In two pieces, as a socket may give them.
            let cut = cut.index(out.len() + 1);
            let rest = out.split_off(cut);
            let mut read = Vec::new();
            while let Some(frame) = Frame::take(&mut out) {
                read.push(frame);
            }
            out.unsplit(rest);
            while let Some(frame) = Frame::take(&mut out) {
                read.push(frame);
            }
            prop_assert_eq!(read, frames);
            prop_assert!(out.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(0), 0..10_u8, any::<u8>()], 0..200)) {
            let mut received = BytesMut::from(&bytes[..]);
            let mut before = received.len();
            while Frame::take(&mut received).is_some() {
                prop_assert!(received.len() < before);
                before = received.len();
            }
        }
    }
}
