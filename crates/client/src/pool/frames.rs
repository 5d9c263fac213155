//! What an HTTP/2 peer says about streams to come, read off the wire beside hyper, which keeps it to itself.
//!
//! hyper tells neither that the limit on streams has changed nor that a GOAWAY came, until a request has failed on it.

/// Frame types and a setting (RFC 9113 sections 6.5, 6.8 and 6.5.2).
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const ACK: u8 = 0x1;

const HEAD: usize = 9;
const SETTING: usize = 6;

/// What a peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// How many streams it takes at once.
    Streams(u32),
    /// It takes no more of them.
    GoAway,
}

/// Reads frame by frame, in pieces of any size, and remembers no more than a frame's head.
///
/// Judges nothing: a peer that breaks the protocol is hyper's business.
#[derive(Debug, Default)]
pub(crate) struct FrameWatch {
    held: [u8; HEAD],
    /// How much of a head, or of a setting, is held.
    have: usize,
    /// How much of the frame's payload is to come.
    left: usize,
    /// Whether the payload is settings.
    is_settings: bool,
    streams: Option<u32>,
    /// Whether there were settings already: the first say how many streams even if they do not, namely any number.
    is_told: bool,
}

impl FrameWatch {
    /// Before the first byte.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes from the peer, and tells what they say.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Told)) {
        while !bytes.is_empty() {
            if self.left > 0 && !self.is_settings {
                let skip = self.left.min(bytes.len());
                self.left -= skip;
                bytes = &bytes[skip..];
                continue;
            }
            let wanted = if self.left > 0 {
                SETTING.min(self.left + self.have)
            } else {
                HEAD
            };
            let take = (wanted - self.have).min(bytes.len());
            self.held[self.have..self.have + take].copy_from_slice(&bytes[..take]);
            self.have += take;
            bytes = &bytes[take..];
            if self.left > 0 {
                self.left -= take;
                if self.have == wanted {
                    self.setting();
                }
            } else if self.have == HEAD {
                self.head(&mut tell);
            }
            if self.is_settings && self.left == 0 {
                self.end_of_settings(&mut tell);
            }
        }
    }

    fn head(&mut self, tell: &mut impl FnMut(Told)) {
        let [a, b, c, kind, flags, ..] = self.held;
        self.have = 0;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        self.is_settings = kind == SETTINGS && flags & ACK == 0;
        self.streams = None;
        if kind == GOAWAY {
            tell(Told::GoAway);
        }
    }

    fn setting(&mut self) {
        if self.have == SETTING {
            let [a, b, value @ ..] = self.held;
            if u16::from_be_bytes([a, b]) == MAX_CONCURRENT_STREAMS {
                let [c, d, e, f, ..] = value;
                self.streams = Some(u32::from_be_bytes([c, d, e, f]));
            }
        }
        self.have = 0;
    }

    fn end_of_settings(&mut self, tell: &mut impl FnMut(Told)) {
        self.is_settings = false;
        self.have = 0;
        match self.streams.take() {
            Some(streams) => tell(Told::Streams(streams)),
            None if !self.is_told => tell(Told::Streams(u32::MAX)),
            None => {}
        }
        self.is_told = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    }

    fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (id, value) in pairs {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frame(SETTINGS, 0, &payload)
    }

    fn told(bytes: &[u8], piece: usize) -> Vec<Told> {
        let mut watch = FrameWatch::new();
        let mut told = Vec::new();
        for piece in bytes.chunks(piece) {
            watch.feed(piece, |what| told.push(what));
        }
        told
    }

    #[test]
    fn settings_say_how_many_streams() {
        let mut bytes = settings(&[(4, 65_535), (3, 10), (5, 16_384)]);
        bytes.extend(frame(SETTINGS, ACK, &[]));
        bytes.extend(frame(0, 0, &[7; 300]));
        bytes.extend(settings(&[(4, 1)]));
        bytes.extend(settings(&[(3, 2), (3, 0)]));
        bytes.extend(frame(GOAWAY, 0, &[0; 8]));
        let expected = [Told::Streams(10), Told::Streams(0), Told::GoAway];
        for piece in [1, 2, 5, 9, 10, 1000] {
            assert_eq!(told(&bytes, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn first_settings_that_do_not_say_mean_any_number() {
        for first in [settings(&[]), settings(&[(1, 4096)])] {
            assert_eq!(told(&first, 4), [Told::Streams(u32::MAX)]);
        }
    }

    #[test]
    fn settings_that_are_cut_short_are_left_to_hyper() {
        let mut bytes = frame(SETTINGS, 0, &[0, 3, 0]);
        bytes.extend(settings(&[(3, 7)]));
        for piece in [1, 4, 100] {
            assert_eq!(
                told(&bytes, piece),
                [Told::Streams(u32::MAX), Told::Streams(7)]
            );
        }
    }

    proptest! {
        /// Whatever comes, in whatever pieces, it says the same.
        #[test]
        fn pieces_make_no_difference(bytes: Vec<u8>, piece in 1usize..40) {
            prop_assert_eq!(told(&bytes, piece), told(&bytes, usize::MAX));
        }
    }
}
