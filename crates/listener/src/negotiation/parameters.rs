//! Tokens, quoted strings, and lists of parameters (RFC 9110 section 5.6).

use std::borrow::Cow;

use crate::ascii::alphanumeric_or;

/// The most parameters that are read. Types in use have one or two.
pub(super) const MAX_PARAMETERS: usize = 16;

/// Any token of RFC 9110 section 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    // A table, because it is asked of every byte of every `Accept`.
    const TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");
    TOKEN[byte as usize]
}

/// Where the quoted string that `text` begins with ends, behind its closing quote (RFC 9110 section 5.6.4).
pub(crate) fn quoted_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                // A backslash quotes one character, which may not be a control.
                let quoted = *bytes.get(at + 1)?;
                if quoted != b'\t' && (quoted < b' ' || quoted == 0x7f) {
                    return None;
                }
                at += 2;
            }
            byte if byte != b'\t' && (byte < b' ' || byte == 0x7f) => return None,
            _ => at += 1,
        }
    }
}

/// A parameter's value as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The value, without quotes and backslashes.
    pub(crate) fn text(self) -> Cow<'a, str> {
        self.without_escapes_of(|_| true)
    }

    /// The same of a file's name. A backslash escapes a quote or another backslash, and is itself everywhere else: that is what senders
    /// of `C:\dir\file` do.
    #[cfg(feature = "multipart")]
    pub(crate) fn file_name(self) -> Cow<'a, str> {
        self.without_escapes_of(|c| matches!(c, '"' | '\\'))
    }

    fn without_escapes_of(self, is_escaped: fn(char) -> bool) -> Cow<'a, str> {
        let quoted = self.0.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        match quoted {
            Some(inside) if inside.contains('\\') => {
                let mut chars = inside.chars().peekable();
                std::iter::from_fn(|| match chars.next()? {
                    '\\' => chars.next_if(|c| is_escaped(*c)).or(Some('\\')),
                    c => Some(c),
                })
                .collect::<String>()
                .into()
            }
            Some(inside) => inside.into(),
            None => self.0.into(),
        }
    }
}

/// One `name=value`, and what follows it.
pub(crate) fn parameter(text: &str) -> Option<((&str, Value<'_>), &str)> {
    let equals = find(text, b'=')?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if !is_token(name) {
        return None;
    }
    let len = match quoted_len(value) {
        Some(len) => len,
        None => value
            .bytes()
            .take_while(|&byte| is_token_byte(byte))
            .count(),
    };
    (len > 0).then(|| ((name, Value(&value[..len])), &value[len..]))
}

/// The parameters of `; a=b; c="d"`, up to the first thing that is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a>(pub(super) &'a str);

/// There are two of one name: which of them counts is not said anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Twice;

impl<'a> Parameters<'a> {
    /// `None` if there is anything but parameters, or more of them than anybody has.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let all = Self(text);
        let mut rest = all;
        let count = rest.by_ref().take(MAX_PARAMETERS + 1).count();
        // What the iterator stopped at is no parameter.
        (count <= MAX_PARAMETERS && trim(rest.0).is_empty()).then_some(all)
    }

    /// Takes the weight off, and what follows it, which belonged to `Accept` and not to the type (RFC 7231 section 5.3.2).
    pub(crate) fn take_weight(&mut self) -> Option<Value<'a>> {
        let mut rest = *self;
        loop {
            let before = rest.0.len();
            let (name, value) = rest.next()?;
            if name.eq_ignore_ascii_case("q") {
                self.0 = &self.0[..self.0.len() - before];
                return Some(value);
            }
        }
    }

    /// The value of the one parameter of that name.
    pub(crate) fn only(self, wanted: &str) -> Result<Option<Value<'a>>, Twice> {
        let mut values = self.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        match (values.next(), values.next()) {
            (found, None) => Ok(found.map(|(_, value)| value)),
            _ => Err(Twice),
        }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = trim_start(self.0).strip_prefix(';')?;
            self.0 = trim_start(rest);
            // Empty ones are allowed: `text/html;;charset=utf-8`.
            if self.0.is_empty() || self.0.starts_with(';') {
                continue;
            }
            let (found, rest) = parameter(self.0)?;
            self.0 = rest;
            return Some(found);
        }
    }
}

// By bytes, as everything here: to search for a character takes longer.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(text: &str) -> &str {
    let start = text.bytes().position(|byte| !is_space(byte));
    &text[start.unwrap_or(text.len())..]
}

pub(super) fn trim(text: &str) -> &str {
    let text = trim_start(text);
    let last = text.bytes().rposition(|byte| !is_space(byte));
    &text[..last.map_or(0, |at| at + 1)]
}

pub(super) fn find(text: &str, wanted: u8) -> Option<usize> {
    text.bytes().position(|byte| byte == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_two_of_one_name_there_is_no_value() {
        let only = |text: &'static str| {
            let found = Parameters::parse(text).expect("parameters").only("a");
            found.map(|value| value.map(Value::text))
        };
        assert_eq!(only(";b=c; A=\"d\\e\""), Ok(Some("de".into())));
        assert_eq!(only(";b=a"), Ok(None));
        assert_eq!(only(";a=b;b=c;A=b"), Err(Twice));
    }

    #[cfg(feature = "multipart")]
    #[test]
    fn file_names_may_have_backslashes() {
        for (written, name) in [
            (r#""C:\dir\x""#, r"C:\dir\x"),
            (r#""a\"b\\""#, r#"a"b\"#),
            (r"a", "a"),
        ] {
            let text = format!("a={written}");
            let ((_, value), _) = parameter(&text).expect("a parameter");
            assert_eq!(value.file_name(), name);
        }
    }

    proptest! {
        #[test]
        fn a_weight_is_taken_off_anything(text in "[a-z;=\"\\\\ \té]{0,30}") {
            let mut parameters = Parameters(&text);
            let before = parameters.count();
            parameters.take_weight();
            prop_assert!(parameters.count() <= before);
        }
    }
}
