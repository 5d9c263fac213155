//! The one spelling of a path.

use std::borrow::Cow;

/// What becomes of `%2F`, of `\` and of `%5C` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodedSlash {
    /// The request is answered with 400. The default: `..%2f` climbs out of a directory wherever it is decoded later.
    #[default]
    Refuse,
    /// It is data, and stays encoded. For services whose identifiers have slashes in them, and which never decode a path as a whole.
    Keep,
    /// It is a slash, and separates segments.
    Decode,
}

/// What makes a path unfit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A `%` without two digits, or an encoded NUL.
    Encoding,
    /// An encoded slash where there may be none.
    Slash,
}

/// The path in its one spelling; borrowed, if that is how it is spelled. It begins with a slash, as any path here has to.
pub(crate) fn canonical(path: &str, slash: EncodedSlash) -> Result<Cow<'_, str>, Unfit> {
    if !path.bytes().any(|byte| byte == b'%' || byte == b'\\')
        && !path.contains("//")
        && !path.contains("/.")
    {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path, slash)?;
    let mut segments: Vec<&str> = Vec::new();
    // Whether the last segment was a directory's: `/a/..` and `/a/.` are, like `/a/`.
    let mut is_open = false;
    for segment in decoded.split('/').skip(1) {
        is_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut spelled = String::with_capacity(decoded.len());
    for segment in &segments {
        spelled.push('/');
        spelled.push_str(segment);
    }
    if is_open || segments.is_empty() {
        spelled.push('/');
    }
    Ok(if spelled == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(spelled)
    })
}

/// Decodes what means the same decoded, and spells the rest one way.
fn decode(path: &str, slash: EncodedSlash) -> Result<String, Unfit> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '\\']) {
        decoded.push_str(&rest[..at]);
        let is_raw = rest.as_bytes()[at] == b'\\';
        let byte = if is_raw {
            b'\\'
        } else {
            let digits = rest.as_bytes().get(at + 1..at + 3).ok_or(Unfit::Encoding)?;
            let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(Unfit::Encoding);
            u8::try_from(nibble(digits[0])? << 4 | nibble(digits[1])?).expect("two digits")
        };
        match byte {
            0 => return Err(Unfit::Encoding),
            b'/' | b'\\' => match slash {
                EncodedSlash::Refuse => return Err(Unfit::Slash),
                EncodedSlash::Keep => encode(&mut decoded, byte),
                EncodedSlash::Decode => decoded.push('/'),
            },
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(char::from(byte));
            }
            byte => encode(&mut decoded, byte),
        }
        rest = &rest[at + if is_raw { 1 } else { 3 }..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

fn encode(into: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    into.push('%');
    into.push(char::from(DIGITS[usize::from(byte >> 4)]));
    into.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings() {
        for (path, expected) in [
            ("/", Ok("/")),
            ("/a", Ok("/a")),
            ("/a/", Ok("/a/")),
            ("/a/b.c", Ok("/a/b.c")),
            ("/.well-known/x", Ok("/.well-known/x")),
            ("/a/...", Ok("/a/...")),
            ("/a/.b", Ok("/a/.b")),
            ("//", Ok("/")),
            ("//a///b", Ok("/a/b")),
            ("/a//", Ok("/a/")),
            ("/./a", Ok("/a")),
            ("/a/.", Ok("/a/")),
            ("/a/..", Ok("/")),
            ("/a/b/..", Ok("/a/")),
            ("/a/b/../c", Ok("/a/c")),
            ("/../../a", Ok("/a")),
            ("/a/%2e%2E/b", Ok("/b")),
            ("/a/.%2e/b", Ok("/b")),
            ("/%2e/a", Ok("/a")),
            ("/a//../b", Ok("/b")),
            ("/%61%7e", Ok("/a~")),
            ("/a%c3%a9", Ok("/a%C3%A9")),
            ("/a%20b", Ok("/a%20b")),
            ("/a%253f", Ok("/a%253f")),
            ("/a%2525", Ok("/a%2525")),
            ("/%252e%252e/a", Ok("/%252e%252e/a")),
            ("/%", Err(Unfit::Encoding)),
            ("/%2", Err(Unfit::Encoding)),
            ("/%zz", Err(Unfit::Encoding)),
            ("/%+1", Err(Unfit::Encoding)),
            ("/%\u{e9}", Err(Unfit::Encoding)),
            ("/%00", Err(Unfit::Encoding)),
            ("/a%2fb", Err(Unfit::Slash)),
            ("/a%5Cb", Err(Unfit::Slash)),
            ("/a\\b", Err(Unfit::Slash)),
            ("/..%2f..%2fetc", Err(Unfit::Slash)),
        ] {
            let found = canonical(path, EncodedSlash::Refuse);
            assert_eq!(found.as_deref(), expected.as_deref(), "{path}");
        }
    }

    #[test]
    fn slashes_by_choice() {
        for (path, keep, decode) in [
            ("/a%2fb", "/a%2Fb", "/a/b"),
            ("/a%5cb", "/a%5Cb", "/a/b"),
            ("/a\\b", "/a%5Cb", "/a/b"),
            ("/..%2fb", "/..%2Fb", "/b"),
        ] {
            assert_eq!(canonical(path, EncodedSlash::Keep).as_deref(), Ok(keep));
            assert_eq!(canonical(path, EncodedSlash::Decode).as_deref(), Ok(decode));
        }
    }

    proptest! {
        #[test]
        fn a_spelling_is_its_own(path in "/[a-c./%2eEfF5c\\\\]{0,24}") {
            for slash in [EncodedSlash::Refuse, EncodedSlash::Keep, EncodedSlash::Decode] {
                if let Ok(once) = canonical(&path, slash) {
                    prop_assert!(once.starts_with('/') && !once.contains("//"));
                    prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."));
                    let twice = canonical(&once, slash).expect("it was fit once");
                    prop_assert_eq!(&*twice, &*once);
                }
            }
        }

        #[test]
        fn any_path_is_read_without_a_panic(path in "/[ -~\u{e9}]{0,40}") {
            let _ = canonical(&path, EncodedSlash::Decode);
        }
    }
}
