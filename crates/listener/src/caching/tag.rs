//! Entity tags (RFC 9110 section 8.8.3).

use std::{fmt, sync::Arc};

use bartizan_core::ConfigError;
use http::HeaderValue;

/// The most tags of one field that are compared. Caches send one for each representation they hold.
const MAX_TAGS: usize = 64;

/// A validator of a representation: strong, if it changes with every byte, or weak. Cheap to clone.
///
/// ```
/// use bartizan_listener::caching::EntityTag;
///
/// let strong = EntityTag::parse("\"v1\"").unwrap();
/// let weak = EntityTag::parse("W/\"v1\"").unwrap();
/// assert!(strong.weak_eq(&weak));
/// assert!(!strong.strong_eq(&weak));
/// assert_eq!(EntityTag::try_strong("v1").unwrap(), strong);
/// assert!(EntityTag::try_strong("no \"quotes\"").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    is_weak: bool,
    /// Without quotes.
    opaque: Arc<str>,
}

impl EntityTag {
    /// A strong tag: for representations that are the same byte by byte.
    ///
    /// # Errors
    ///
    /// If there is a quote, a space, a control or something beyond ASCII in it.
    pub fn try_strong(opaque: &str) -> Result<Self, ConfigError> {
        Self::try_new(opaque, false)
    }

    /// A weak tag: for representations that are as good as each other.
    ///
    /// # Errors
    ///
    /// As [`try_strong`](Self::try_strong).
    pub fn try_weak(opaque: &str) -> Result<Self, ConfigError> {
        Self::try_new(opaque, true)
    }

    fn try_new(opaque: &str, is_weak: bool) -> Result<Self, ConfigError> {
        if !opaque.bytes().all(is_opaque) {
            let expected = "visible ASCII characters, but no quote";
            return Err(ConfigError::new("entity tag", opaque, expected));
        }
        Ok(Self {
            is_weak,
            opaque: opaque.into(),
        })
    }

    /// A tag as it stands in a field. `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, rest) = next(text.trim_matches([' ', '\t']))?;
        rest.is_empty().then_some(tag)
    }

    /// Whether it is weak.
    pub const fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// Strong comparison (section 8.8.3.2): both are strong, and the same.
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// Weak comparison: the same, strong or weak.
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The field value.
    #[expect(
        clippy::missing_panics_doc,
        reason = "tags are checked when they are made"
    )]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("visible ASCII")
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.is_weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", self.opaque)
    }
}

/// `etagc`, without what is beyond ASCII, which no header value of ours could be made of as text.
const fn is_opaque(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e)
}

/// One tag, and what follows it.
fn next(text: &str) -> Option<(EntityTag, &str)> {
    let (is_weak, quoted) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
    let opaque = opaque.bytes().all(is_opaque).then(|| opaque.into())?;
    Some((EntityTag { is_weak, opaque }, rest))
}

/// The tags of a list, as far as it is well-formed. Commas are allowed in tags.
pub(crate) fn tags(list: &str) -> impl Iterator<Item = EntityTag> + '_ {
    let mut rest = list;
    let tags = std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (tag, after) = next(rest)?;
        let after = after.trim_start_matches([' ', '\t']);
        // Something else behind a tag spoils it.
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after;
        Some(tag)
    });
    tags.take(MAX_TAGS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists() {
        for (list, expected) in [
            ("\"a\"", &["\"a\""][..]),
            ("\"a\", W/\"b\"", &["\"a\"", "W/\"b\""]),
            (",, \"a,b\" ,\"c\"", &["\"a,b\"", "\"c\""]),
            ("\"\"", &["\"\""]),
            ("\"a\" \"b\"", &[]),
            ("a", &[]),
            ("\"a", &[]),
            ("w/\"a\"", &[]),
            ("\"a\", b, \"c\"", &["\"a\""]),
            ("", &[]),
        ] {
            let found: Vec<_> = tags(list).map(|tag| tag.to_string()).collect();
            assert_eq!(found, expected, "{list}");
        }
        assert_eq!(tags(&"\"a\",".repeat(MAX_TAGS + 9)).count(), MAX_TAGS);
    }

    proptest! {
        #[test]
        fn any_list_is_read_without_a_panic(list in "[ -~\u{e9}]{0,60}") {
            for tag in tags(&list) {
                prop_assert_eq!(EntityTag::parse(&tag.to_string()), Some(tag));
            }
        }
    }
}
