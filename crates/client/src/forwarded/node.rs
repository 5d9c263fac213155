//! Who was on the way, as far as it is told.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use bartizan_core::ConfigError;

/// One end of a hop (RFC 7239 section 6): an address, a name that hides one, or nobody known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForwardedNode {
    name: Name,
    port: Option<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Ip(IpAddr),
    Obfuscated(String),
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Port {
    Number(u16),
    Obfuscated(String),
}

impl ForwardedNode {
    /// Somebody who is not known, or not told of.
    pub const fn unknown() -> Self {
        Self {
            name: Name::Unknown,
            port: None,
        }
    }

    /// A name that stands for an address: an underscore, then letters, digits and `._-` (RFC 7239 section 6.3).
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn try_obfuscated(name: &str) -> Result<Self, ConfigError> {
        if !is_obfuscated(name) {
            let expected = "an underscore, then letters, digits and `._-`";
            return Err(ConfigError::new("node", name, expected));
        }
        Ok(Self {
            name: Name::Obfuscated(name.to_owned()),
            port: None,
        })
    }

    /// A name that was never used before and tells nothing: to follow one request through logs, and nobody from request to request.
    pub fn random() -> Self {
        Self {
            name: Name::Obfuscated(format!("_{:016x}", fastrand::u64(..))),
            port: None,
        }
    }

    /// The address, if it is told.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self.name {
            Name::Ip(ip) => Some(ip),
            Name::Obfuscated(_) | Name::Unknown => None,
        }
    }

    /// The port, if it is told.
    pub const fn port(&self) -> Option<u16> {
        match self.port {
            Some(Port::Number(port)) => Some(port),
            Some(Port::Obfuscated(_)) | None => None,
        }
    }

    /// The name that hides an address, with its underscore.
    pub fn obfuscated(&self) -> Option<&str> {
        match &self.name {
            Name::Obfuscated(name) => Some(name),
            Name::Ip(_) | Name::Unknown => None,
        }
    }

    /// Reads a node of `Forwarded`, in which an IPv6 address has brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (ip, rest) = rest.split_once(']')?;
                let ip: Ipv6Addr = ip.parse().ok()?;
                let port = match rest {
                    "" => None,
                    _ => Some(rest.strip_prefix(':')?),
                };
                (Name::Ip(ip.into()), port)
            }
            None => {
                let (name, port) = match text.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (text, None),
                };
                let name = if name.eq_ignore_ascii_case("unknown") {
                    Name::Unknown
                } else if is_obfuscated(name) {
                    Name::Obfuscated(name.to_owned())
                } else {
                    Name::Ip(IpAddr::V4(name.parse().ok()?))
                };
                (name, port)
            }
        };
        let port = match port {
            None => None,
            Some(port) if is_obfuscated(port) => Some(Port::Obfuscated(port.to_owned())),
            Some(port) => Some(Port::Number(number(port)?)),
        };
        Some(Self { name, port })
    }

    /// Reads an entry of `X-Forwarded-For`, in which an IPv6 address may be bare. What is none is unknown.
    pub(super) fn of_legacy(text: &str) -> Self {
        match text.parse::<IpAddr>() {
            Ok(ip) => ip.into(),
            Err(_) => Self::parse(text).unwrap_or(Self::unknown()),
        }
    }

    /// As `X-Forwarded-For` has it: bare, and without a port.
    pub(super) fn to_legacy(&self) -> String {
        match &self.name {
            Name::Ip(ip) => ip.to_string(),
            Name::Obfuscated(name) => name.clone(),
            Name::Unknown => "unknown".to_owned(),
        }
    }
}

/// A number as RFC 7239 writes ports: digits alone, where Rust's parser takes a plus as well.
fn number(port: &str) -> Option<u16> {
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| port.parse().ok())?
}

fn is_obfuscated(name: &str) -> bool {
    let rest = name.strip_prefix('_').unwrap_or_default();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !rest.is_empty() && rest.bytes().all(is_allowed)
}

impl From<IpAddr> for ForwardedNode {
    fn from(ip: IpAddr) -> Self {
        Self {
            name: Name::Ip(ip),
            port: None,
        }
    }
}

impl From<SocketAddr> for ForwardedNode {
    fn from(address: SocketAddr) -> Self {
        Self {
            name: Name::Ip(address.ip()),
            port: Some(Port::Number(address.port())),
        }
    }
}

/// As `Forwarded` has it, without the quotation marks that a colon needs there.
impl fmt::Display for ForwardedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Name::Ip(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Name::Obfuscated(name) => f.write_str(name)?,
            Name::Unknown => f.write_str("unknown")?,
        }
        match &self.port {
            None => Ok(()),
            Some(Port::Number(port)) => write!(f, ":{port}"),
            Some(Port::Obfuscated(port)) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_and_written() {
        for (text, ip, port) in [
            ("192.0.2.43", Some("192.0.2.43"), None),
            ("192.0.2.43:4711", Some("192.0.2.43"), Some(4711)),
            ("192.0.2.43:_p", Some("192.0.2.43"), None),
            ("[2001:db8::1]", Some("2001:db8::1"), None),
            ("[2001:db8::1]:80", Some("2001:db8::1"), Some(80)),
            ("unknown", None, None),
            ("unknown:80", None, Some(80)),
            ("_hidden", None, None),
            ("_SEVKISEK.a-b_c", None, None),
        ] {
            let node = ForwardedNode::parse(text).expect(text);
            assert_eq!(
                node.ip(),
                ip.map(|ip| ip.parse().expect("an address")),
                "{text}"
            );
            assert_eq!(node.port(), port, "{text}");
            assert_eq!(node.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_node() {
        for text in [
            "",
            "_",
            "_a b",
            "example.com",
            "192.0.2",
            "192.0.2.43:",
            "192.0.2.43:99999",
            "192.0.2.43:+1",
            "2001:db8::1",
            "[2001:db8::1",
            "[192.0.2.43]",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            ":80",
        ] {
            assert_eq!(ForwardedNode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn old_headers_have_bare_addresses() {
        for (text, node) in [
            ("192.0.2.43", "192.0.2.43"),
            ("192.0.2.43:80", "192.0.2.43:80"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("unknown", "unknown"),
            ("_a", "_a"),
            ("<script>", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(ForwardedNode::of_legacy(text).to_string(), node, "{text}");
        }
        assert_eq!(
            ForwardedNode::of_legacy("[2001:db8::1]:80").to_legacy(),
            "2001:db8::1"
        );
    }
}
