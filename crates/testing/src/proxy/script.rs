//! Where in a stream of bytes something happens. No sockets, no time.

use bytes::Bytes;

use super::wire::Ending;

/// What is put in, and where it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    /// In order of their offsets, and of two at one offset in the order they were given.
    garbage: Vec<(u64, Bytes)>,
    end: Option<(u64, Ending)>,
}

/// A [`Script`] that is being followed.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// The garbage that is yet to come.
    garbage: &'a [(u64, Bytes)],
    end: Option<(u64, Ending)>,
    position: u64,
}

/// What is next for bytes that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To be forwarded: the sender's.
    Genuine(Bytes),
    /// To be forwarded: ours.
    Garbage(Bytes),
    End(Ending),
}

impl Script {
    pub(super) fn inject(&mut self, offset: u64, garbage: Bytes) {
        let after = self.garbage.partition_point(|(at, _)| *at <= offset);
        self.garbage.insert(after, (offset, garbage));
    }

    pub(super) fn end(&mut self, offset: u64, ending: Ending) {
        if self.end.is_none_or(|(at, _)| offset <= at) {
            self.end = Some((offset, ending));
        }
    }

    pub(super) fn start(&self) -> Cursor<'_> {
        Cursor {
            garbage: &self.garbage,
            end: self.end,
            position: 0,
        }
    }
}

impl Cursor<'_> {
    /// Takes the next piece of `arrived`, or what comes before it. `None` when nothing is left to do until more arrives; so it is asked
    /// before the first byte arrives, too.
    pub(super) fn next(&mut self, arrived: &mut Bytes) -> Option<Next> {
        // Garbage at the offset of the end still comes before the end.
        if let Some(((_, garbage), rest)) = self
            .garbage
            .split_first()
            .filter(|((at, _), _)| *at == self.position)
        {
            self.garbage = rest;
            return Some(Next::Garbage(garbage.clone()));
        }
        if let Some((_, ending)) = self.end.filter(|(at, _)| *at == self.position) {
            return Some(Next::End(ending));
        }
        if arrived.is_empty() {
            return None;
        }
        let mark = self.garbage.first().map(|(at, _)| *at);
        let until = mark.into_iter().chain(self.end.map(|(at, _)| at)).min();
        let length = until.map_or(arrived.len(), |until| {
            usize::try_from(until - self.position).map_or(arrived.len(), |n| n.min(arrived.len()))
        });
        self.position += length as u64;
        Some(Next::Genuine(arrived.split_to(length)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out for these pieces, and whether and how it ended.
    fn follow(script: &Script, pieces: &[&[u8]]) -> (Vec<u8>, Option<Ending>) {
        let mut cursor = script.start();
        let mut out = Vec::new();
        let first: &[u8] = &[];
        for piece in [first].iter().chain(pieces) {
            let mut arrived = Bytes::copy_from_slice(piece);
            while let Some(next) = cursor.next(&mut arrived) {
                match next {
                    Next::Genuine(bytes) | Next::Garbage(bytes) => out.extend_from_slice(&bytes),
                    Next::End(ending) => return (out, Some(ending)),
                }
            }
            assert!(arrived.is_empty());
        }
        (out, None)
    }

    #[test]
    fn what_is_put_in_at_the_start_waits_for_nothing() {
        let mut script = Script::default();
        script.inject(0, Bytes::from_static(b"!"));
        script.inject(0, Bytes::from_static(b"?"));
        assert_eq!(follow(&script, &[]), (b"!?".to_vec(), None));
        assert_eq!(follow(&script, &[b"ab"]), (b"!?ab".to_vec(), None));
    }

    #[test]
    fn garbage_at_the_end_comes_before_it() {
        let mut script = Script::default();
        script.inject(1, Bytes::from_static(b"!"));
        script.end(1, Ending::Reset);
        assert_eq!(
            follow(&script, &[b"ab"]),
            (b"a!".to_vec(), Some(Ending::Reset))
        );
    }

    #[test]
    fn the_first_ending_counts_and_of_two_at_one_place_the_last_said() {
        let mut script = Script::default();
        script.end(5, Ending::Close);
        script.end(9, Ending::Reset);
        assert_eq!(script.end, Some((5, Ending::Close)));
        script.end(5, Ending::Stall);
        assert_eq!(script.end, Some((5, Ending::Stall)));
        script.end(2, Ending::Reset);
        assert_eq!(script.end, Some((2, Ending::Reset)));
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..8), 0..8),
            garbage in prop::collection::vec((0..40_u64, prop::collection::vec(any::<u8>(), 0..4)), 0..4),
            end in prop::option::of(0..40_u64),
        ) {
            let mut script = Script::default();
            for (at, bytes) in &garbage {
                script.inject(*at, Bytes::copy_from_slice(bytes));
            }
            if let Some(at) = end {
                script.end(at, Ending::Close);
            }
            let whole = pieces.concat();
            let many: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();

            // The plain way: byte by byte, from the definition.
            let mut expected = Vec::new();
            let mut ended = None;
            for at in 0..=whole.len() {
                for (_, bytes) in garbage.iter().filter(|(offset, _)| *offset == at as u64) {
                    expected.extend_from_slice(bytes);
                }
                if end == Some(at as u64) {
                    ended = Some(Ending::Close);
                    break;
                }
                expected.extend(whole.get(at));
            }
            prop_assert_eq!(follow(&script, &many), (expected.clone(), ended));
            prop_assert_eq!(follow(&script, &[&whole]), (expected, ended));
        }
    }
}
