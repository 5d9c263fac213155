//! Patterns with `*`.

/// Whether `text` is what `pattern` says, where each `*` stands for any characters, or none.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // Each part as early as it can be: that leaves most for those after it.
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_anything_or_nothing() {
        for (pattern, text) in [
            ("/a", "/a"),
            ("*", ""),
            ("*", "/a/b"),
            ("/a/*", "/a/"),
            ("/a/*/c", "/a/b/b/c"),
            ("*/c", "/c/c"),
            ("a*b*c", "abbc"),
            ("a**c", "ac"),
            ("*/*", "*/*"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("/a", "/a/"),
            ("/a/*", "/a"),
            ("a*a", "a"),
            ("a*b*b", "ab"),
            ("a*b*c", "acb"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    /// The definition.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|n| plainly(rest, &text[n..])),
            Some((first, rest)) => text.first() == Some(first) && plainly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(pattern in "[ab*é]{0,8}", text in "[abé]{0,8}") {
            prop_assert_eq!(
                matches(&pattern, &text),
                plainly(pattern.as_bytes(), text.as_bytes()),
            );
        }
    }
}
