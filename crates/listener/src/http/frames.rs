//! What an HTTP/2 peer sends, frame by frame, as far as it has to be known to see a flood.
//!
//! h2 parses the frames; this only looks at their heads as they pass. It needs nine bytes of memory, whatever comes.

use tokio::time::Instant;

/// The bytes before each payload (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// How many frames of each kind a peer has sent on a connection (RFC 9113 section 6). All zero over HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameCounts {
    /// `DATA` with a payload, or the last of its stream.
    pub data: u64,
    /// `DATA` without a payload that ends nothing.
    pub empty_data: u64,
    /// `HEADERS`: requests and trailers.
    pub headers: u64,
    /// `CONTINUATION`.
    pub continuations: u64,
    /// `RST_STREAM`: requests that were given up.
    pub resets: u64,
    /// `SETTINGS`, with their acknowledgements.
    pub settings: u64,
    /// `PING`, with their acknowledgements.
    pub pings: u64,
    /// `WINDOW_UPDATE`.
    pub window_updates: u64,
    /// Everything else: `PRIORITY`, `GOAWAY`, and types that nobody knows.
    pub others: u64,
}

/// What the head of a frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// It carries a request.
    Nothing,
    /// It costs work, and brings no request any further.
    Idle,
    /// It lets more of a response go out.
    Window,
}

/// Reads heads of frames, in pieces of any size.
#[derive(Debug)]
pub(crate) struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes that are none of a head.
    skip: usize,
    /// The frame whose payload is being skipped belongs to a header block.
    in_block: bool,
    /// The block goes on in another frame.
    block_is_open: bool,
    last_stream: u32,
    counts: FrameCounts,
}

impl Frames {
    /// `preface`: how many bytes of the connection preface are still to come.
    pub(crate) fn new(preface: usize) -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            skip: preface,
            in_block: false,
            block_is_open: false,
            last_stream: 0,
            counts: FrameCounts::default(),
        }
    }

    /// Takes what was read, and tells of each frame that begins in it what it costs.
    pub(crate) fn read(&mut self, mut bytes: &[u8], mut frame: impl FnMut(Cost)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                self.filled = 0;
                frame(self.begin());
            }
        }
    }

    /// Whether a request's head has begun and is not complete, or it cannot be told yet.
    pub(crate) const fn is_in_head(&self) -> bool {
        self.block_is_open || self.filled > 0 || (self.in_block && self.skip > 0)
    }

    /// The last stream that the peer has opened.
    pub(crate) const fn last_stream(&self) -> u32 {
        self.last_stream
    }

    pub(crate) const fn counts(&self) -> FrameCounts {
        self.counts
    }

    fn begin(&mut self) -> Cost {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = length as usize;
        self.in_block = matches!(kind, 0x1 | 0x9);
        if self.in_block {
            self.block_is_open = flags & 0x4 == 0;
        }
        let counts = &mut self.counts;
        let (count, cost) = match kind {
            0x0 if length == 0 && flags & 0x1 == 0 => (&mut counts.empty_data, Cost::Idle),
            0x0 => (&mut counts.data, Cost::Nothing),
            0x1 => {
                let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
                self.last_stream = self.last_stream.max(stream);
                (&mut counts.headers, Cost::Nothing)
            }
            0x3 => (&mut counts.resets, Cost::Idle),
            0x4 => (&mut counts.settings, Cost::Idle),
            0x6 => (&mut counts.pings, Cost::Idle),
            0x8 => (&mut counts.window_updates, Cost::Window),
            // h2 bounds their number within each block.
            0x9 => (&mut counts.continuations, Cost::Nothing),
            _ => (&mut counts.others, Cost::Idle),
        };
        *count += 1;
        cost
    }
}

/// How many frames a peer may send that bring no request any further: `RST_STREAM`, `PING`, `SETTINGS`, `PRIORITY`, empty `DATA`, and
/// what nobody knows.
///
/// A peer may send `burst` of them at once. It gets `per_second` of them back with the time, and one for every request whose response
/// was sent whole, as far as there were bytes written for it, and never has more than `burst`. `WINDOW_UPDATE` frames have an allowance of their own, of the same size, and
/// get one back for every 256 bytes written to the peer. A connection without any left is closed with `ENHANCE_YOUR_CALM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FrameLimit {
    /// How many at once.
    pub burst: u32,
    /// How many more with every second.
    pub per_second: u32,
}

/// 1,000 at once and 100 per second. A client that gives up a part of its requests is far from it, and so is one that pings for each
/// response; a flood is there within milliseconds.
impl Default for FrameLimit {
    fn default() -> Self {
        Self {
            burst: 1000,
            per_second: 100,
        }
    }
}

/// How many frames a peer has earned by each of two measures: the lesser counts.
pub(crate) type Merit = [u64; 2];

/// What is left of a [`FrameLimit`].
#[derive(Debug)]
pub(crate) struct Budget {
    limit: FrameLimit,
    left: u64,
    /// When, and at how much earned, it was last filled up.
    filled: Instant,
    earned: Merit,
}

impl Budget {
    pub(crate) fn new(limit: FrameLimit, now: Instant) -> Self {
        Self {
            limit,
            left: limit.burst.into(),
            filled: now,
            earned: [0; 2],
        }
    }

    /// Takes one. `false` if there is none. `earned` is how many it got by merit in all; the clock is asked only when it has to be.
    pub(crate) fn take(&mut self, earned: Merit, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let waited = now.saturating_duration_since(self.filled);
            let by_time = waited.as_millis() * u128::from(self.limit.per_second) / 1000;
            let by_time = u64::try_from(by_time).unwrap_or(u64::MAX);
            let more = [0, 1].map(|by| earned[by].saturating_sub(self.earned[by]));
            let by_merit = more[0].min(more[1]);
            if by_time > 0 {
                // Not before it is worth one, or asking often would earn nothing.
                self.filled = now;
            }
            self.earned = earned;
            let filled = by_time.saturating_add(by_merit);
            self.left = filled.min(self.limit.burst.into());
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

/// Both allowances of a connection.
#[derive(Debug)]
pub(crate) struct Budgets {
    idle: Budget,
    window: Budget,
}

/// How many bytes have to be written to earn one `WINDOW_UPDATE`.
const BYTES_PER_WINDOW: u64 = 256;

/// How many bytes the least of responses takes: the head of a frame, and a status. What is reset before it is answered has none.
const BYTES_PER_ANSWER: u64 = HEAD as u64 + 1;

impl Budgets {
    pub(crate) fn new(limit: FrameLimit, now: Instant) -> Self {
        Self {
            idle: Budget::new(limit, now),
            window: Budget::new(limit, now),
        }
    }

    /// `false` if the peer has used up what it may.
    pub(crate) fn take(&mut self, cost: Cost, answered: u64, written: u64) -> bool {
        match cost {
            Cost::Nothing => true,
            Cost::Idle => {
                let earned = [answered, written / BYTES_PER_ANSWER];
                self.idle.take(earned, Instant::now)
            }
            Cost::Window => {
                let earned = [written / BYTES_PER_WINDOW; 2];
                self.window.take(earned, Instant::now)
            }
        }
    }
}

/// The frame that says why the connection ends: `GOAWAY` with `ENHANCE_YOUR_CALM` (RFC 9113 sections 6.8 and 7).
pub(crate) fn calm(last_stream: u32) -> [u8; HEAD + 8] {
    let mut frame = [0, 0, 8, 0x7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb];
    frame[HEAD..HEAD + 4].copy_from_slice(&last_stream.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    fn read(frames: &mut Frames, bytes: &[u8]) -> Vec<Cost> {
        let mut costs = Vec::new();
        frames.read(bytes, |cost| costs.push(cost));
        costs
    }

    #[test]
    fn tells_the_kinds_apart() {
        let mut frames = Frames::new(24);
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(0x4, 0, 0, &[]));
        bytes.extend(frame(0x1, 0x5, 1, b"block"));
        bytes.extend(frame(0x0, 0, 1, b"data"));
        bytes.extend(frame(0x0, 0, 1, b""));
        bytes.extend(frame(0x0, 1, 1, b""));
        bytes.extend(frame(0x3, 0, 1, &[0, 0, 0, 8]));
        bytes.extend(frame(0x6, 0, 0, &[0; 8]));
        bytes.extend(frame(0x8, 0, 0, &[0; 4]));
        bytes.extend(frame(0x9, 4, 1, b"more"));
        bytes.extend(frame(0x2, 0, 1, &[0; 5]));
        bytes.extend(frame(0xfa, 0, 1, b""));
        use Cost::{Idle, Nothing, Window};
        assert_eq!(
            read(&mut frames, &bytes),
            [
                Idle, Nothing, Nothing, Idle, Nothing, Idle, Idle, Window, Nothing, Idle, Idle
            ]
        );
        let counts = frames.counts();
        assert_eq!(
            counts,
            FrameCounts {
                data: 2,
                empty_data: 1,
                headers: 1,
                continuations: 1,
                resets: 1,
                settings: 1,
                pings: 1,
                window_updates: 1,
                others: 2,
            }
        );
        assert_eq!(frames.last_stream(), 1);
    }

    #[test]
    fn knows_when_a_head_is_incomplete() {
        let mut frames = Frames::new(0);
        let block = frame(0x1, 0, 1, b"block");
        for byte in &block {
            read(&mut frames, &[*byte]);
            assert!(frames.is_in_head());
        }
        read(&mut frames, &frame(0x9, 4, 1, b"more"));
        assert!(!frames.is_in_head());
        // A body in pieces is none.
        read(&mut frames, &frame(0x0, 0, 1, b"data")[..11]);
        assert!(!frames.is_in_head());
    }

    proptest! {
        #[test]
        fn pieces_are_read_like_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            size in 1_usize..30,
        ) {
            let (mut whole, mut pieces) = (Frames::new(3), Frames::new(3));
            let at_once = read(&mut whole, &bytes);
            let mut one_by_one = Vec::new();
            for piece in bytes.chunks(size) {
                one_by_one.extend(read(&mut pieces, piece));
            }
            prop_assert_eq!(at_once, one_by_one);
            prop_assert_eq!(whole.counts(), pieces.counts());
            prop_assert_eq!(whole.is_in_head(), pieces.is_in_head());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_used_up_and_comes_back_with_time_and_merit() {
        let start = Instant::now();
        let limit = FrameLimit {
            burst: 3,
            per_second: 2,
        };
        let mut budget = Budget::new(limit, start);
        let mut take =
            |earned, millis| budget.take([earned; 2], || start + Duration::from_millis(millis));
        assert_eq!(
            [take(0, 0), take(0, 0), take(0, 0), take(0, 0)],
            [true, true, true, false]
        );
        assert!(!take(0, 499));
        assert!(take(0, 500), "asking did not cost anything");
        assert!(!take(0, 500));
        assert!(take(1, 500));
        assert!(!take(1, 500), "it is earned once");
        // No more than the burst comes back.
        assert_eq!(
            std::iter::repeat_with(|| take(100, 100_000))
                .take_while(|&is_left| is_left)
                .count(),
            3
        );
    }

    #[tokio::test(start_paused = true)]
    async fn merit_is_what_both_measures_find() {
        let limit = FrameLimit {
            burst: 1,
            per_second: 0,
        };
        let mut budget = Budget::new(limit, Instant::now());
        let mut take = |earned| budget.take(earned, Instant::now);
        assert_eq!([take([0, 0]), take([0, 0])], [true, false]);
        assert_eq!([take([1, 0]), take([1, 1]), take([2, 1])], [false; 3]);
        assert!(take([3, 2]));
    }

    #[test]
    fn says_why() {
        let frame = calm(0x0102_0304);
        assert_eq!(frame, [0, 0, 8, 7, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 11]);
    }
}
