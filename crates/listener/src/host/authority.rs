//! The host that a request asks for.

use std::{borrow::Cow, net::Ipv6Addr};

use http::{Request, header::HOST};

/// The longest name of the DNS (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// A host, and a port if there is one, as a request names them: in lower case, without a final dot.
///
/// ```
/// use bartizan_listener::host::Authority;
///
/// let authority = Authority::parse("Example.com.:8080").unwrap();
/// assert_eq!((authority.host(), authority.port()), ("example.com", Some(8080)));
/// assert_eq!(Authority::parse("[0:0::1]:80").unwrap().host(), "[::1]");
/// assert!(Authority::parse("user@example.com").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority<'a> {
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a host with or without a port. `None` if it is neither a name, an IPv4 address nor an IPv6 address in brackets.
    ///
    /// A name has letters, digits, hyphens, dots and underscores, and up to 253 bytes: what the DNS has, in the form that goes over
    /// the wire.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (ip, rest) = rest.split_once(']')?;
            let ip = ip.parse::<Ipv6Addr>().ok()?;
            let port = if rest.is_empty() {
                None
            } else {
                port(rest.strip_prefix(':')?)?
            };
            return Some(Self {
                host: format!("[{ip}]").into(),
                port,
            });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => (name, port(digits)?),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(is_allowed)
            && name.split('.').all(|label| !label.is_empty());
        let host = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        };
        is_name.then_some(Self { host, port })
    }

    /// The name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it is named.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

/// `Some(None)` for an empty port, which RFC 3986 section 3.2.3 allows.
fn port(digits: &str) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.parse().ok())?.map(Some)
}

/// The host that a request asks for. `None` if it names none, several, or one that is malformed.
pub fn requested<B>(request: &Request<B>) -> Option<Authority<'_>> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return None,
        (Some(host), None) => Some(Authority::parse(host.to_str().ok()?)?),
        (None, None) => None,
    };
    match request.uri().authority() {
        None => host,
        Some(target) => {
            let target = Authority::parse(target.as_str())?;
            let agree = host.is_none_or(|host| host.host == target.host);
            agree.then_some(target)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, expected) in [
            ("example.com", Some(("example.com", None))),
            ("EXAMPLE.com.", Some(("example.com", None))),
            ("example.com:80", Some(("example.com", Some(80)))),
            ("example.com:", Some(("example.com", None))),
            ("192.0.2.1:8080", Some(("192.0.2.1", Some(8080)))),
            ("[::1]", Some(("[::1]", None))),
            ("[2001:DB8:0::1]:443", Some(("[2001:db8::1]", Some(443)))),
            ("a_b.example", Some(("a_b.example", None))),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a..", None),
            (":80", None),
            ("example.com:99999", None),
            ("example.com:+80", None),
            ("example.com:80:80", None),
            ("user@example.com", None),
            ("exa mple.com", None),
            ("example.com/x", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]80", None),
            ("[example.com]", None),
            ("*.example.com", None),
            ("ex%61mple.com", None),
        ] {
            let parsed = Authority::parse(text);
            let parsed = parsed.as_ref().map(|a| (a.host(), a.port()));
            assert_eq!(parsed, expected, "{text:?}");
        }
        assert!(Authority::parse(&"a".repeat(MAX_NAME + 1)).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~\u{e9}]{0,40}") {
            if let Some(authority) = Authority::parse(&text) {
                let again = Authority::parse(authority.host()).expect("what it was made of");
                prop_assert_eq!(again.host(), authority.host());
            }
        }
    }
}
