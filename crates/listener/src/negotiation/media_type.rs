//! Media types and ranges of them (RFC 9110 sections 8.3.1 and 12.5.1).

use std::{fmt, str::FromStr, sync::Arc};

use bartizan_core::ConfigError;

use super::parameters::{Parameters, Value, find, is_token, trim};

/// The longest media type or range that is read, in bytes. IANA's longest is below 100; boundaries of multipart types are up to 70.
const MAX_LEN: usize = 1024;

/// Whether it is the same name. Nearly always it is written the same, and that is seen at once.
fn is_same(name: &str, other: &str) -> bool {
    name == other || name.eq_ignore_ascii_case(other)
}

/// The parts of a media type or range, as they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) main: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) parameters: Parameters<'a>,
}

/// Splits a media type or range. `None` if it is neither, or longer than anybody's.
pub(crate) fn parts(text: &str) -> Option<Parts<'_>> {
    let text = trim(text);
    if text.len() > MAX_LEN {
        return None;
    }
    let (essence, parameters) = match find(text, b';') {
        Some(at) => (trim(&text[..at]), &text[at..]),
        None => (text, ""),
    };
    let slash = find(essence, b'/')?;
    let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
    if !is_token(main) || !is_token(sub) || (main == "*" && sub != "*") {
        return None;
    }
    Some(Parts {
        main,
        sub,
        parameters: Parameters::parse(parameters)?,
    })
}

impl Parts<'_> {
    /// Whether it is a type, and no range of types.
    pub(crate) fn is_type(&self) -> bool {
        self.main != "*" && self.sub != "*"
    }

    fn has_parameter(&self, name: &str, value: Value<'_>) -> bool {
        self.parameters.into_iter().any(|(own, own_value)| {
            own.eq_ignore_ascii_case(name) && own_value.text() == value.text()
        })
    }

    /// How closely this range matches `other`: the more the closer, `None` if not at all.
    pub(crate) fn matches(&self, other: &Parts<'_>) -> Option<u32> {
        let rank = match (self.main, self.sub) {
            ("*", _) => 0,
            (main, _) if !is_same(main, other.main) => return None,
            (_, "*") => 1,
            (_, sub) if is_same(sub, other.sub) => 2,
            _ => return None,
        };
        let mut parameters = 0;
        for (name, value) in self.parameters {
            if !other.has_parameter(name, value) {
                return None;
            }
            parameters += 1;
        }
        Some(parameters * 3 + rank)
    }
}

/// A media type or range, and where its parts are: it is taken apart for every request.
#[derive(Clone)]
struct Checked {
    text: Arc<str>,
    // Where the type ends, and where the subtype does.
    slash: u16,
    end: u16,
}

impl Checked {
    /// `parts` are those of `text`.
    fn new(text: &str, parts: &Parts<'_>) -> Self {
        let at = |length| u16::try_from(length).expect("at most MAX_LEN");
        Self {
            text: trim(text).into(),
            slash: at(parts.main.len()),
            end: at(parts.main.len() + 1 + parts.sub.len()),
        }
    }

    fn parts(&self) -> Parts<'_> {
        let (slash, end) = (usize::from(self.slash), usize::from(self.end));
        Parts {
            main: &self.text[..slash],
            sub: &self.text[slash + 1..end],
            parameters: Parameters(&self.text[end..]),
        }
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            pub(super) fn parts(&self) -> Parts<'_> {
                self.0.parts()
            }

            /// As it was written.
            pub fn as_str(&self) -> &str {
                &self.0.text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = ConfigError;

            fn try_from(text: &str) -> Result<Self, ConfigError> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ConfigError;

            fn try_from(text: String) -> Result<Self, ConfigError> {
                text.parse()
            }
        }
    };
}

/// A media type, such as `text/html; charset=utf-8` (RFC 9110 section 8.3.1). Cheap to clone.
///
/// ```
/// use bartizan_listener::negotiation::MediaType;
///
/// let html: MediaType = "text/html; charset=utf-8".parse().unwrap();
/// assert_eq!(html.essence(), "text/html");
/// assert_eq!(html.parameter("Charset").as_deref(), Some("utf-8"));
/// assert!("text".parse::<MediaType>().is_err());
/// assert!("text/*".parse::<MediaType>().is_err(), "that is a range");
/// ```
#[derive(Clone, Debug)]
pub struct MediaType(Checked);

text_type!(MediaType);

impl MediaType {
    /// Type and subtype, without parameters.
    pub fn essence(&self) -> &str {
        &self.0.text[..self.0.end.into()]
    }

    /// The value of the first parameter of that name, without quotes.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut parameters = self.parts().parameters;
        let (_, value) = parameters.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value.text().into_owned())
    }

    pub(crate) fn is_weight(parameters: Parameters<'_>) -> bool {
        parameters
            .into_iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("q"))
    }
}

impl FromStr for MediaType {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match parts(text) {
            Some(parts) if parts.is_type() && !Self::is_weight(parts.parameters) => {
                Ok(Self(Checked::new(text, &parts)))
            }
            _ => Err(ConfigError::new(
                "media type",
                text,
                "a type, a slash and a subtype, such as `text/html; charset=utf-8`",
            )),
        }
    }
}

/// A media type, `type/*` or `*/*`, with the parameters that have to be there (RFC 9110 section 12.5.1). Cheap to clone.
///
/// ```
/// use bartizan_listener::negotiation::MediaRange;
///
/// let text: MediaRange = "text/*".parse().unwrap();
/// assert!(text.matches(&"text/plain; charset=utf-8".parse().unwrap()));
/// assert!(!text.matches(&"image/png".parse().unwrap()));
/// ```
#[derive(Clone, Debug)]
pub struct MediaRange(Checked);

text_type!(MediaRange);

impl MediaRange {
    /// Whether the type is in this range. Parameters of the type that the range does not name make no difference.
    pub fn matches(&self, media_type: &MediaType) -> bool {
        self.parts().matches(&media_type.parts()).is_some()
    }

    pub(crate) fn matches_parts(&self, other: &Parts<'_>) -> bool {
        self.parts().matches(other).is_some()
    }
}

impl FromStr for MediaRange {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match parts(text) {
            Some(parts) if !MediaType::is_weight(parts.parameters) => {
                Ok(Self(Checked::new(text, &parts)))
            }
            _ => Err(ConfigError::new(
                "media range",
                text,
                "a media type, `type/*` or `*/*`, without a weight",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::negotiation::parameters::MAX_PARAMETERS;

    #[test]
    fn what_is_a_media_type_and_what_is_not() {
        for (text, is) in [
            ("text/html", true),
            (" text/html ", true),
            ("text/html;charset=utf-8", true),
            ("text/html ; charset=\"utf-8\" ; a=b", true),
            ("text/html;", true),
            ("text/html;;a=b", true),
            ("application/vnd.api+json", true),
            ("a/b;c=\"x\\\"y;z,\"", true),
            ("text", false),
            ("text/", false),
            ("/html", false),
            ("", false),
            ("text/html/x", false),
            ("te xt/html", false),
            ("text/html; charset", false),
            ("text/html; charset=", false),
            ("text/html; charset = utf-8", false),
            ("text/html; a=\"b", false),
            ("text/html; a=b c", false),
            ("text/*", false),
            ("*/*", false),
            ("*/html", false),
            ("text/html;q=1", false),
            ("text/html\n", false),
            ("tëxt/html", false),
        ] {
            assert_eq!(text.parse::<MediaType>().is_ok(), is, "{text:?}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let long = format!("text/{}", "x".repeat(MAX_LEN));
        assert!(long.parse::<MediaType>().is_err());
        let many = |n: usize| format!("text/x{}", ";a=b".repeat(n));
        assert!(many(MAX_PARAMETERS).parse::<MediaType>().is_ok());
        assert!(many(MAX_PARAMETERS + 1).parse::<MediaType>().is_err());
    }

    #[test]
    fn values_are_the_same_quoted_or_not() {
        let range: MediaRange = "text/html;level=\"1\"".parse().expect("a range");
        assert!(range.matches(&"TEXT/HTML; LEVEL=1".parse().expect("a type")));
        assert!(range.matches(&"text/html; level=\"\\1\"".parse().expect("a type")));
        assert!(!range.matches(&"text/html; level=2".parse().expect("a type")));
    }

    #[test]
    fn a_weight_is_taken_off_with_what_follows_it() {
        for (text, weight, left) in [
            ("text/html", None, 0),
            ("text/html;level=1", None, 1),
            ("text/html;q=0.5", Some("0.5"), 0),
            ("text/html ; level=1 ; Q=0.5 ; a=b", Some("0.5"), 1),
            ("text/html;level=\"q=1\";q=\"0.5\";a=b", Some("0.5"), 1),
            ("text/html;;level=1;;q=1;;", Some("1"), 1),
        ] {
            let mut parts = parts(text).expect("a type");
            let taken = parts.parameters.take_weight().map(Value::text);
            assert_eq!(taken.as_deref(), weight, "{text}");
            assert_eq!(parts.parameters.count(), left, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_value_comes_back(value in "\\PC{0,20}", other in "[a-z=; ]{0,10}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("text/plain; other=\"{other}\"; charset=\"{quoted}\"; x=y");
            let media_type: MediaType = text.parse().expect("a media type");
            prop_assert_eq!(media_type.parameter("charset"), Some(value));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~\t\u{e9}]{0,64}") {
            if let Ok(media_type) = text.parse::<MediaType>() {
                let _ = media_type.parameter("charset");
                let again: MediaType = media_type.to_string().parse().expect("what it was made of");
                prop_assert_eq!(again.essence(), media_type.essence());
            }
        }
    }
}
