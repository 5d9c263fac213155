//! From encoded bytes to decoded ones, without I/O.

use std::{io, mem};

use bytes::{Buf, Bytes, BytesMut};
use compression_codecs::{
    BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
    core::util::{PartialBuffer, WriteBuffer},
    zstd::params::DParameter,
};

use super::coding::Coding;

/// What is decoded at a time: what bounds the memory and the work of one poll, whatever the input expands to.
const CHUNK: usize = 16 * 1024;

/// RFC 9659: what a decoder of HTTP content must support, and may refuse to exceed.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Undoes the codings of a body, one after the other.
pub(crate) struct Decoder {
    /// The one applied last comes first.
    stages: Vec<Stage>,
    input: Bytes,
    is_over: bool,
    scratch: Box<[u8]>,
}

/// What a [`Decoder`] has to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    Data(Bytes),
    /// Give it more by [`Decoder::push`], or say that there is no more by [`Decoder::finish`].
    Hungry,
    /// All of it was decoded.
    End,
}

impl Decoder {
    /// Undoes `codings`, which were applied in this order.
    pub(crate) fn new(codings: &[Coding]) -> Self {
        Self {
            stages: codings
                .iter()
                .rev()
                .map(|coding| Stage::new(*coding))
                .collect(),
            input: Bytes::new(),
            is_over: false,
            scratch: vec![0; CHUNK].into(),
        }
    }

    /// Takes what came from the wire, once the last was used up.
    pub(crate) fn push(&mut self, input: Bytes) {
        debug_assert!(self.input.is_empty() && !self.is_over);
        self.input = input;
    }

    /// Says that nothing more comes from the wire.
    pub(crate) fn finish(&mut self) {
        self.is_over = true;
    }

    /// The next decoded bytes.
    pub(crate) fn pull(&mut self) -> io::Result<Pull> {
        self.pull_from(self.stages.len())
    }

    /// What comes out of the first `count` stages.
    fn pull_from(&mut self, count: usize) -> io::Result<Pull> {
        let Some(index) = count.checked_sub(1) else {
            let input = mem::take(&mut self.input);
            return Ok(match (input.is_empty(), self.is_over) {
                (false, _) => Pull::Data(input),
                (true, true) => Pull::End,
                (true, false) => Pull::Hungry,
            });
        };
        loop {
            match self.stages[index].step(&mut self.scratch)? {
                Step::Wrote(0) => {}
                Step::Wrote(length) => {
                    return Ok(Pull::Data(Bytes::copy_from_slice(&self.scratch[..length])));
                }
                Step::Ended => return Ok(Pull::End),
                Step::Hungry => match self.pull_from(index)? {
                    Pull::Data(data) => self.stages[index].feed(data),
                    Pull::End => self.stages[index].is_fed = true,
                    Pull::Hungry => return Ok(Pull::Hungry),
                },
            }
        }
    }
}

/// One coding.
struct Stage {
    codec: Codec,
    input: Bytes,
    /// Whether `input` is the last.
    is_fed: bool,
    state: State,
}

enum Codec {
    Known {
        decoder: Box<dyn DecodeV2 + Send + Sync>,
        /// Whether another may follow: the members of gzip (RFC 1952 section 2.2) and the frames of Zstandard (RFC 8878 section 3).
        repeats: bool,
    },
    /// `deflate`, which is zlib or, against the standard, bare deflate. The first two bytes tell.
    Deflate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come in.
    Fresh,
    /// In the midst. The decoder may hold back output for which there was no room.
    Decoding { may_hold_back: bool },
    /// All input of a member is in, and perhaps not all of its output is out.
    Finishing,
    /// Between members, or after the last.
    BetweenMembers,
}

enum Step {
    Wrote(usize),
    Hungry,
    Ended,
}

impl Stage {
    fn new(coding: Coding) -> Self {
        let known = |decoder, repeats| Codec::Known { decoder, repeats };
        let codec = match coding {
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                known(Box::new(ZstdDecoder::new_with_params(&[window])), true)
            }
            Coding::Brotli => known(Box::new(BrotliDecoder::new()), false),
            Coding::Gzip => known(Box::new(GzipDecoder::new()), true),
            Coding::Deflate => Codec::Deflate,
        };
        Self {
            codec,
            input: Bytes::new(),
            is_fed: false,
            state: State::Fresh,
        }
    }

    fn feed(&mut self, data: Bytes) {
        if self.input.is_empty() {
            self.input = data;
        } else {
            // The first byte of `deflate`, which alone does not tell what it is.
            let mut both = BytesMut::with_capacity(self.input.len() + data.len());
            both.extend_from_slice(&self.input);
            both.extend_from_slice(&data);
            self.input = both.freeze();
        }
    }

    fn step(&mut self, output: &mut [u8]) -> io::Result<Step> {
        let (decoder, repeats) = match &mut self.codec {
            Codec::Known { decoder, repeats } => (decoder, *repeats),
            Codec::Deflate => match (&self.input[..], self.is_fed) {
                ([], true) => return Ok(Step::Ended),
                ([] | [_], false) => return Ok(Step::Hungry),
                (start, _) => {
                    let decoder: Box<dyn DecodeV2 + Send + Sync> = if is_zlib(start) {
                        Box::new(ZlibDecoder::new())
                    } else {
                        Box::new(DeflateDecoder::new())
                    };
                    self.codec = Codec::Known {
                        decoder,
                        repeats: false,
                    };
                    return Ok(Step::Wrote(0));
                }
            },
        };
        let mut output = WriteBuffer::new_initialized(output);
        match self.state {
            // ## Fresh => (Decoding | ended)
            State::Fresh => match (self.input.is_empty(), self.is_fed) {
                // No bytes at all: a response without a body, whatever its headers say.
                (true, true) => return Ok(Step::Ended),
                (true, false) => return Ok(Step::Hungry),
                (false, _) => {
                    self.state = State::Decoding {
                        may_hold_back: false,
                    };
                }
            },
            // ## Decoding => (Decoding | Finishing)
            State::Decoding { may_hold_back } => {
                let is_flush = self.input.is_empty();
                if is_flush && !may_hold_back {
                    if !self.is_fed {
                        return Ok(Step::Hungry);
                    }
                    self.state = State::Finishing;
                    return Ok(Step::Wrote(0));
                }
                let mut input = PartialBuffer::new(&self.input[..]);
                let result = decoder.decode(&mut input, &mut output);
                let consumed = input.written_len();
                let wrote = output.written_len();
                self.input.advance(consumed);
                let has_ended = match result {
                    Ok(has_ended) => has_ended,
                    // Some decoders take it for an error that nothing was held back.
                    Err(_) if is_flush && wrote == 0 => false,
                    Err(error) => return Err(error),
                };
                if !has_ended && !is_flush && consumed == 0 && wrote == 0 {
                    return Err(invalid("the decoder makes no progress"));
                }
                self.state = if has_ended {
                    State::Finishing
                } else {
                    State::Decoding {
                        may_hold_back: output.has_no_spare_space(),
                    }
                };
            }
            // ## Finishing => (Finishing | BetweenMembers)
            State::Finishing => {
                if decoder.finish(&mut output)? {
                    self.state = State::BetweenMembers;
                } else if output.written_len() == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            // ## BetweenMembers => (Decoding | ended)
            State::BetweenMembers => match (self.input.is_empty(), self.is_fed) {
                (true, true) => return Ok(Step::Ended),
                (true, false) => return Ok(Step::Hungry),
                (false, _) if repeats => {
                    decoder.reinit()?;
                    self.state = State::Decoding {
                        may_hold_back: false,
                    };
                }
                (false, _) => return Err(invalid("there are bytes after its end")),
            },
        }
        Ok(Step::Wrote(output.written_len()))
    }
}

/// Whether this starts with a header of RFC 1950 section 2.2: the method is deflate, and the check bits are right.
fn is_zlib(start: &[u8]) -> bool {
    match start {
        [method, flags, ..] => {
            method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0
        }
        _ => false,
    }
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::encoder::Encoder;

    use proptest::prelude::*;

    fn encode(codings: &[Coding], data: &[u8]) -> Vec<u8> {
        codings.iter().fold(data.to_vec(), |data, coding| {
            let mut encoder = Encoder::new(*coding);
            let mut encoded = encoder.encode(&data).expect("an encoding");
            encoded.extend(encoder.finish().expect("an end"));
            encoded
        })
    }

    fn decode(codings: &[Coding], pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::new(codings);
        let mut pieces = pieces.iter().filter(|piece| !piece.is_empty());
        let mut decoded = Vec::new();
        loop {
            match decoder.pull()? {
                Pull::Data(data) => decoded.extend_from_slice(&data),
                Pull::Hungry => match pieces.next() {
                    Some(piece) => decoder.push(Bytes::copy_from_slice(piece)),
                    None => decoder.finish(),
                },
                Pull::End => return Ok(decoded),
            }
        }
    }

    fn any_coding() -> impl Strategy<Value = Coding> {
        prop::sample::select(&Coding::ALL[..])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_stack_of_codings_is_undone_in_any_pieces(
            data in prop::collection::vec(any::<u8>(), 0..3_000),
            repeats in 1..30_usize,
            codings in prop::collection::vec(any_coding(), 1..4),
            piece in 1..2_000_usize,
        ) {
            let data = data.repeat(repeats);
            let encoded = encode(&codings, &data);
            let pieces: Vec<_> = encoded.chunks(piece).collect();
            prop_assert_eq!(decode(&codings, &pieces).expect("a decoding"), data);
        }

        #[test]
        fn whatever_comes_ends(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400),
            coding in any_coding(),
            is_mutated in any::<bool>(),
            at in any::<prop::sample::Index>(),
        ) {
            if is_mutated && !bytes.is_empty() {
                let index = at.index(bytes.len());
                bytes = encode(&[coding], &bytes);
                let length = bytes.len();
                bytes[index % length] ^= 0x55;
            }
            // An end of whichever kind, and no panic.
            let _ = decode(&[coding], &[&bytes]);
        }

        #[test]
        fn what_is_cut_off_is_an_error(
            data in prop::collection::vec(any::<u8>(), 1..500),
            coding in any_coding(),
            at in any::<prop::sample::Index>(),
        ) {
            let encoded = encode(&[coding], &data);
            let cut = at.index(encoded.len() - 1) + 1;
            prop_assert!(cut == encoded.len() || decode(&[coding], &[&encoded[..cut]]).is_err());
        }
    }

    #[test]
    fn no_bytes_are_no_error() {
        for coding in Coding::ALL {
            assert_eq!(decode(&[coding], &[]).expect("nothing"), b"");
            assert_eq!(decode(&[coding, coding], &[]).expect("nothing"), b"");
        }
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let mut twice = encode(&[coding], b"one ");
            twice.extend(encode(&[coding], b"two"));
            assert_eq!(decode(&[coding], &[&twice]).expect("both"), b"one two");
            let bytes: Vec<_> = twice.chunks(1).collect();
            assert_eq!(decode(&[coding], &bytes).expect("both"), b"one two");
        }
    }

    #[test]
    fn bytes_after_the_end_are_an_error() {
        for coding in Coding::ALL {
            let mut encoded = encode(&[coding], b"data");
            encoded.extend_from_slice(b"garbage that is longer than any header");
            assert!(decode(&[coding], &[&encoded]).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn deflate_may_be_bare() {
        // RFC 1951: one final stored block of three bytes.
        let bare = b"\x01\x03\x00\xfc\xffabc";
        assert_eq!(decode(&[Coding::Deflate], &[bare]).expect("text"), b"abc");
        let bytes: Vec<_> = bare.chunks(1).collect();
        assert_eq!(decode(&[Coding::Deflate], &bytes).expect("text"), b"abc");
    }

    #[test]
    fn a_window_beyond_8_mib_is_refused() {
        // RFC 8878 section 3.1.1: magic, no single segment, a window of 2^27, and an empty last block.
        let frame = b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00";
        assert!(decode(&[Coding::Zstd], &[frame]).is_err());
        // The same with 2^23.
        let frame = b"\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00";
        assert_eq!(decode(&[Coding::Zstd], &[frame]).expect("nothing"), b"");
    }
}
