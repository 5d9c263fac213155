//! A set of hosts, as `NO_PROXY` writes it.

use std::{net::IpAddr, str::FromStr};

use bartizan_core::ConfigError;

use crate::connect::literal;

/// A set of hosts, in the notation of `NO_PROXY`: entries with commas or blanks between them.
///
/// | entry | stands for |
/// |---|---|
/// | `example.com`, `.example.com`, `*.example.com` | that name and all below it |
/// | `10.0.0.1`, `2001:db8::1`, `[2001:db8::1]` | that address |
/// | `10.0.0.0/8`, `2001:db8::/32` | the addresses that begin so |
/// | `example.com:8080`, `10.0.0.1:80`, `[2001:db8::1]:80` | the same, on that port only |
/// | `*` | every host |
///
/// Case and a dot at the end make no difference. Names are compared as they are written and never resolved: a URL with a name is not in
/// `10.0.0.0/8`, whatever its address. IPv4 addresses within IPv6 (`::ffff:10.0.0.1`) are what they stand for.
///
/// # Differences from curl
///
/// Ports and `*.` are from Go, and curl knows neither; and what curl ignores, such as `10.0.0.0/99`, is an error here: traffic meant to
/// stay inside would go to the proxy unnoticed.
///
/// ```
/// use bartizan_client::proxy::HostSet;
///
/// let inside: HostSet = "localhost, .corp.example, 10.0.0.0/8".parse().unwrap();
/// assert!(inside.contains("wiki.corp.example", 443));
/// assert!(inside.contains("10.1.2.3", 80));
/// assert!(!inside.contains("notcorp.example", 443));
///
/// let error = "10.0.0.0/99".parse::<HostSet>().unwrap_err();
/// assert_eq!(error.to_string(), "invalid hosts `10.0.0.0/99`: expected a prefix length from 0 to 32");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HostSet(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hosts {
    All,
    /// In lower case, without a dot at either end.
    Domain(String),
    Network {
        address: IpAddr,
        prefix: u8,
    },
}

impl HostSet {
    /// No host.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a host is in it: a name, or an address in brackets or without, as it is in the URL.
    pub fn contains(&self, host: &str, port: u16) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let address = literal(host).map(|ip| ip.to_canonical());
        let name = host.strip_suffix('.').unwrap_or(host);
        self.0.iter().any(|entry| {
            entry.port.is_none_or(|own| own == port)
                && match (&entry.hosts, address) {
                    (Hosts::All, _) => true,
                    (Hosts::Domain(domain), None) => is_within(name, domain),
                    (
                        Hosts::Network {
                            address: own,
                            prefix,
                        },
                        Some(address),
                    ) => begins_alike(*own, address, *prefix),
                    _ => false,
                }
        })
    }
}

impl FromStr for HostSet {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        text.split([',', ' ', '\t', '\n', '\r'])
            .filter(|entry| !entry.is_empty())
            .map(Entry::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let fail = |expected: &str| Err(ConfigError::new("hosts", text, expected));
        if let Some((address, length)) = text.split_once('/') {
            let Some(address) = literal(address) else {
                return fail("an address before the `/`");
            };
            let longest = if address.is_ipv4() { 32 } else { 128 };
            return match length.parse() {
                // Not canonical: an IPv4 network within IPv6 has another length.
                Ok(prefix) if prefix <= longest => Ok(Self {
                    hosts: Hosts::Network { address, prefix },
                    port: None,
                }),
                _ => fail(&format!("a prefix length from 0 to {longest}")),
            };
        }
        if let Some(address) = literal(text) {
            return Ok(Self {
                hosts: Hosts::of_address(address),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) if port > 0 => (host, Some(port)),
                _ => return fail("a port from 1 to 65535 after the `:`"),
            },
            None => (text, None),
        };
        let hosts = if host == "*" {
            Hosts::All
        } else if let Some(address) = literal(host) {
            Hosts::of_address(address)
        } else {
            let name = host.strip_prefix('*').unwrap_or(host);
            let name = name.strip_prefix('.').unwrap_or(name);
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() || name.contains(['*', ':', '[', ']', '@']) {
                return fail("a name, an address, a network or `*`");
            }
            Hosts::Domain(name.to_ascii_lowercase())
        };
        Ok(Self { hosts, port })
    }
}

impl Hosts {
    fn of_address(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::Network {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        }
    }
}

/// Whether `name` is `domain`, or below it.
fn is_within(name: &str, domain: &str) -> bool {
    let Some(start) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let (above, end) = name.as_bytes().split_at(start);
    end.eq_ignore_ascii_case(domain.as_bytes()) && above.last().is_none_or(|byte| *byte == b'.')
}

/// Whether both have the same first `prefix` bits.
fn begins_alike(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let prefix = u32::from(prefix);
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = u32::from(one) ^ u32::from(other);
            differing.leading_zeros() >= prefix
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = u128::from(one) ^ u128::from(other);
            differing.leading_zeros() >= prefix
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn hosts_are_in_it_or_not() {
        for (set, host, port, is_in) in [
            ("example.com", "example.com", 80, true),
            ("example.com", "EXAMPLE.com.", 80, true),
            ("Example.com.", "www.example.com", 80, true),
            ("example.com", "notexample.com", 80, false),
            ("example.com", "example.com.evil", 80, false),
            ("example.com", "com", 80, false),
            (".example.com", "example.com", 80, true),
            (".example.com", "www.example.com", 80, true),
            ("*.example.com", "a.b.example.com", 80, true),
            ("*", "anything", 1, true),
            ("*", "::1", 1, true),
            ("", "anything", 1, false),
            ("a,b c\td", "c", 1, true),
            ("a, ,,b", "b", 1, true),
            ("a:8080", "a", 8080, true),
            ("a:8080", "a", 80, false),
            ("*:8080", "b", 8080, true),
            ("10.0.0.1", "10.0.0.1", 80, true),
            ("10.0.0.1:81", "10.0.0.1", 80, false),
            ("10.0.0.0/8", "10.255.0.1", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("0.0.0.0/0", "1.2.3.4", 80, true),
            ("0.0.0.0/0", "::1", 80, false),
            ("0.0.0.0/0", "name", 80, false),
            ("10.0.0.0/8", "10.evil", 80, false),
            ("::1", "[::1]", 80, true),
            ("[::1]", "[::1]", 80, true),
            ("[::1]:443", "[::1]", 443, true),
            ("[::1]:443", "[::1]", 80, false),
            ("2001:db8::/32", "[2001:db8:ffff::1]", 80, true),
            ("2001:db8::/32", "[2001:db9::1]", 80, false),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]", 80, true),
            ("::ffff:10.0.0.1", "10.0.0.1", 80, true),
            // Not an address, and not in curl either.
            ("10.0.0", "10.0.0.1", 80, false),
        ] {
            let parsed: HostSet = set.parse().expect("a set");
            assert_eq!(parsed.contains(host, port), is_in, "{set}: {host}:{port}");
        }
    }

    #[test]
    fn what_is_no_host_says_what_is() {
        for (text, expected) in [
            ("10.0.0.0/33", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/-1", "from 0 to 32"),
            ("example.com/8", "an address before"),
            ("a:0", "a port"),
            ("a:b", "a port"),
            ("a:65536", "a port"),
            ("a.*.b", "a name"),
            (".", "a name"),
            ("u@h", "a name"),
        ] {
            let error = text.parse::<HostSet>().expect_err(text);
            assert!(error.expected().contains(expected), "{error}");
            assert_eq!(error.value(), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_set_or_an_error(text in "\\PC{0,60}", host in "\\PC{0,40}", port: u16) {
            if let Ok(set) = text.parse::<HostSet>() {
                set.contains(&host, port);
            }
        }

        #[test]
        fn a_network_has_its_own_addresses(address: IpAddr, length in 0..=128_u8) {
            let length = length.min(if address.is_ipv4() { 32 } else { 128 });
            let set: HostSet = format!("{address}/{length}").parse().expect("a network");
            if address.to_canonical() == address {
                prop_assert!(set.contains(&address.to_string(), 80));
            }
        }
    }
}
