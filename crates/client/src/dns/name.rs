//! A host name that may be looked up.

use std::{error, fmt, str::FromStr, sync::Arc};

/// The name of a host, as a resolver is asked for it: in lower case, and checked. Cheap to clone.
///
/// Labels of 1 to 63 letters, digits, hyphens and underscores, 253 characters in all, and perhaps a dot at the end, which keeps a resolver
/// from trying its search list. Other scripts come as Punycode. What is or looks like an address is no name: some resolvers read
/// `127.1` or `0x7f000001` as 127.0.0.1, past every rule about names.
///
/// ```
/// use bartizan_client::dns::Name;
///
/// let name: Name = "API.example.com".parse().unwrap();
/// assert_eq!(name.as_str(), "api.example.com");
/// for no_name in ["", "127.0.0.1", "127.1", "0x7f000001", "a..b", "-a.example", "ex ample"] {
///     assert!(no_name.parse::<Name>().is_err(), "{no_name}");
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What RFC 6761 says of the name, if it is one of those that must not reach a name server.
    pub(crate) fn special(&self) -> Option<Special> {
        let name = self.0.strip_suffix('.').unwrap_or(&self.0);
        match name.rsplit('.').next() {
            Some("localhost") => Some(Special::Localhost),
            Some("invalid") => Some(Special::Invalid),
            _ => None,
        }
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let labels = name.strip_suffix('.').unwrap_or(name);
        let is_valid = labels.len() <= 253
            && labels.split('.').all(is_label)
            && !labels.rsplit('.').next().is_some_and(is_number);
        if is_valid {
            Ok(Self(name.to_ascii_lowercase().into()))
        } else {
            Err(InvalidName(()))
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether a last label makes the whole an IPv4 address for the WHATWG ("ends in a number").
fn is_number(label: &str) -> bool {
    let hexadecimal = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(());

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a host name has labels of 1 to 63 letters, digits, `-` and `_`, and the last is no number",
        )
    }
}

impl error::Error for InvalidName {}

/// The names that RFC 6761 takes out of the DNS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Special {
    /// This machine (section 6.3).
    Localhost,
    /// Nowhere (section 6.4).
    Invalid,
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn special_names_are_known_in_any_spelling() {
        for (name, special) in [
            ("localhost", Some(Special::Localhost)),
            ("LocalHost.", Some(Special::Localhost)),
            ("app.localhost", Some(Special::Localhost)),
            ("localhost.example.com", None),
            ("mylocalhost", None),
            ("x.invalid", Some(Special::Invalid)),
            ("X.INVALID.", Some(Special::Invalid)),
            ("invalid", Some(Special::Invalid)),
            ("invalid.example.com", None),
        ] {
            let parsed: Name = name.parse().expect("a name");
            assert_eq!(parsed.special(), special, "{name}");
        }
    }

    #[test]
    fn what_could_be_an_address_is_no_name() {
        for text in [
            "1", "1.2.3.4", "1.2.3.4.", "127.1", "0x7f.1", "a.0x7F", "a.0x", "[::1]", "::1", "0",
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        for text in [
            "1.2.3.4a",
            "4.example",
            "x1",
            "_dmarc.example",
            "xn--bcher-kva.example",
        ] {
            assert!(text.parse::<Name>().is_ok(), "{text}");
        }
    }

    #[test]
    fn lengths_are_those_of_rfc_1035() {
        let label = "a".repeat(63);
        assert!(label.parse::<Name>().is_ok());
        assert!(format!("{label}a").parse::<Name>().is_err());
        let longest = [&*label, &*label, &*label, &label[..61]].join(".");
        assert_eq!(longest.len(), 253);
        assert!(longest.parse::<Name>().is_ok());
        assert!(format!("{longest}.").parse::<Name>().is_ok());
        assert!(format!("{longest}a").parse::<Name>().is_err());
    }

    proptest! {
        #[test]
        fn nothing_that_is_an_address_is_a_name(address: std::net::IpAddr) {
            prop_assert!(address.to_string().parse::<Name>().is_err());
        }

        #[test]
        fn a_name_is_what_it_was_in_lower_case(text in "\\PC{0,80}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
                prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
            }
        }
    }
}
