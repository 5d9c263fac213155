//! What proxies write about clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::negotiation::{elements, parameter};

/// One element of `Forwarded` (RFC 7239 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) client: Option<String>,
    pub(crate) proto: Option<String>,
    pub(crate) host: Option<String>,
}

/// The elements of one value of `Forwarded`, from the left. `None` if any part of it is malformed.
///
/// Its cost is linear in the length, which the server limits.
pub(crate) fn parse(value: &str) -> Option<Vec<Element>> {
    elements(value).map(element).collect()
}

fn element(text: &str) -> Option<Element> {
    let mut element = Element::default();
    let mut rest = trim(text);
    loop {
        let ((name, value), after) = parameter(rest)?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "for" => Some(&mut element.client),
            "proto" => Some(&mut element.proto),
            "host" => Some(&mut element.host),
            // `by`, and what may be registered later.
            _ => None,
        };
        if let Some(slot) = slot {
            // Each parameter may occur once.
            if slot.replace(value.text().into_owned()).is_some() {
                return None;
            }
        }
        let after = trim(after);
        if after.is_empty() {
            return Some(element);
        }
        rest = trim(after.strip_prefix(';')?);
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The address of a node: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
///
/// Bare IPv6 is what proxies write in `X-Forwarded-For`. A port may be obfuscated (RFC 7239 section 6.3). `None` for anything else.
pub(crate) fn node_ip(node: &str) -> Option<IpAddr> {
    let node = trim(node);
    if let Some(rest) = node.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port
            .then(|| ip.parse::<Ipv6Addr>().ok())?
            .map(IpAddr::from);
    }
    if let Ok(ip) = node.parse::<IpAddr>() {
        return Some(ip);
    }
    let (ip, port) = node.split_once(':')?;
    let ip = ip.parse::<Ipv4Addr>().ok()?;
    is_port(port).then_some(ip.into())
}

fn is_port(text: &str) -> bool {
    let is_obfuscated = |rest: &str| {
        let mut bytes = rest.bytes();
        !rest.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    match text.strip_prefix('_') {
        Some(rest) => is_obfuscated(rest),
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clients(value: &str) -> Option<Vec<Option<String>>> {
        Some(parse(value)?.into_iter().map(|e| e.client).collect())
    }

    #[test]
    fn the_examples_of_rfc_7239_section_4() {
        for (value, expected) in [
            ("for=\"_gazonk\"", &["_gazonk"][..]),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                &["[2001:db8:cafe::17]:4711"],
            ),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", &["192.0.2.60"]),
            (
                "for=192.0.2.43, for=198.51.100.17",
                &["192.0.2.43", "198.51.100.17"],
            ),
        ] {
            let expected = expected.iter().map(|&c| Some(c.to_owned())).collect();
            assert_eq!(clients(value), Some(expected), "{value}");
        }
        let element = parse("for=192.0.2.60;proto=https;host=\"a.example:8443\"");
        assert_eq!(
            element.expect("it is valid"),
            [Element {
                client: Some("192.0.2.60".into()),
                proto: Some("https".into()),
                host: Some("a.example:8443".into()),
            }]
        );
    }

    #[test]
    fn what_is_malformed_is_malformed_as_a_whole() {
        for value in [
            "for",
            "for=",
            "for=\"a",
            "for=a;",
            "for=a;;proto=http",
            "for=a;for=b",
            "for=a b",
            "for = a",
            "for=[::1]",
            "for=\"evil, for=198.51.100.17",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn addresses_of_nodes() {
        for (node, ip) in [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1 ", Some("192.0.2.1")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("192.0.2.1:_http", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:99999", None),
            ("192.0.2.1:+80", None),
            ("[192.0.2.1]", None),
            ("[::1", None),
            ("[::1]x", None),
            ("192.0.2.256", None),
            ("0x7f.1", None),
        ] {
            let expected = ip.map(|ip| ip.parse().expect("an address"));
            assert_eq!(node_ip(node), expected, "{node:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_a_panic(value in "[ -~\t\u{e9}]{0,80}") {
            let _ = parse(&value);
            let _ = node_ip(&value);
        }

        #[test]
        fn what_a_proxy_writes_is_read(ips in proptest::collection::vec(any::<IpAddr>(), 1..8)) {
            let written = ips.iter().map(|ip| match ip {
                IpAddr::V4(ip) => format!("for={ip};proto=http"),
                IpAddr::V6(ip) => format!("for=\"[{ip}]:80\""),
            });
            let written = written.collect::<Vec<_>>().join(", ");
            let read: Vec<_> = parse(&written).expect("it is valid").into_iter()
                .map(|e| node_ip(&e.client.expect("it is there")).expect("an address")).collect();
            prop_assert_eq!(read, ips);
        }
    }
}
