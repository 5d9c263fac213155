//! Where in a body something is: JSON Pointer (RFC 6901), as a URI fragment.

use std::fmt::Write;

/// Longer paths name the nearest ancestor that fits: keys are the peer's, and an answer is not the place for a megabyte of them.
const LONGEST: usize = 256;

/// One written by hand that is not too long, or its nearest ancestor that is not.
pub(crate) fn nearest(pointer: &str) -> &str {
    if pointer.len() <= LONGEST {
        return pointer;
    }
    let step = pointer.as_bytes()[..=LONGEST]
        .iter()
        .rposition(|&byte| byte == b'/');
    &pointer[..step.unwrap_or(0)]
}

/// A pointer that grows downwards. Starts at the whole document, `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    is_full: bool,
}

impl Pointer {
    pub(crate) fn root() -> Self {
        Self {
            text: "#".to_owned(),
            is_full: false,
        }
    }

    /// One step down, by a key or an index.
    pub(crate) fn push(&mut self, segment: &str) {
        if self.is_full {
            return;
        }
        let before = self.text.len();
        self.text.push('/');
        for byte in segment.bytes() {
            match byte {
                // RFC 6901 section 3 for these two, section 6 for the others.
                b'~' => self.text.push_str("~0"),
                b'/' => self.text.push_str("~1"),
                _ if is_plain(byte) => self.text.push(char::from(byte)),
                _ => write!(self.text, "%{byte:02X}").expect("a string takes all"),
            }
            // Now, and not after the last: a key may be a megabyte.
            if self.text.len() > LONGEST {
                break;
            }
        }
        if self.text.len() > LONGEST {
            self.text.truncate(before);
            self.is_full = true;
        }
    }

    /// One written by hand, as `/items/0`.
    pub(crate) fn parse(pointer: &str) -> Self {
        let mut parsed = Self::root();
        let pointer = pointer.strip_prefix('#').unwrap_or(pointer);
        for segment in pointer
            .split('/')
            .skip(usize::from(pointer.is_empty() || pointer.starts_with('/')))
        {
            parsed.push(&segment.replace("~1", "/").replace("~0", "~"));
        }
        parsed
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }
}

#[cfg(any(feature = "json", feature = "xml"))]
impl From<&serde_path_to_error::Path> for Pointer {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;

        let mut pointer = Self::root();
        for segment in path {
            match segment {
                Segment::Seq { index } => pointer.push(&index.to_string()),
                Segment::Map { key } => pointer.push(key),
                Segment::Enum { variant } => pointer.push(variant),
                // What is below it has no place that could be named.
                Segment::Unknown => break,
            }
        }
        pointer
    }
}

/// What a fragment holds as it is (RFC 3986 section 3.5).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments_are_escaped() {
        let mut pointer = Pointer::root();
        for segment in ["a/b", "~", "0", "", "ü \""] {
            pointer.push(segment);
        }
        assert_eq!(pointer.into_string(), "#/a~1b/~0/0//%C3%BC%20%22");
    }

    #[test]
    fn those_by_hand_are_the_same() {
        for (by_hand, expected) in [
            ("", "#"),
            ("/a/0", "#/a/0"),
            ("#/a/0", "#/a/0"),
            ("a/0", "#/a/0"),
            ("/a~1b/~01", "#/a~1b/~01"),
        ] {
            assert_eq!(Pointer::parse(by_hand).into_string(), expected, "{by_hand}");
        }
    }

    #[test]
    fn a_long_path_is_that_of_an_ancestor() {
        let mut pointer = Pointer::root();
        pointer.push("items");
        pointer.push(&"x".repeat(1_000_000));
        pointer.push("short");
        assert_eq!(pointer.into_string(), "#/items");
        let mut pointer = Pointer::root();
        for _ in 0..1_000 {
            pointer.push("");
        }
        assert_eq!(pointer.into_string().len(), LONGEST);
    }

    proptest! {
        #[test]
        fn every_pointer_is_short_and_ascii(segments in proptest::collection::vec("\\PC{0,40}", 0..20)) {
            let mut pointer = Pointer::root();
            for segment in &segments {
                pointer.push(segment);
            }
            let pointer = pointer.into_string();
            prop_assert!(pointer.len() <= LONGEST && pointer.is_ascii());
            prop_assert!(!pointer.contains(['"', '\\', ' ']));
        }
    }
}
