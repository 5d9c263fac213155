//! From the peer to the client, as far as anybody trusted leads.

use std::{fmt, net::IpAddr};

use super::TrustedNetworks;

/// The address of the client, as far as it is known: in the extensions of every request that passes a
/// [`ForwardedLayer`](super::ForwardedLayer) and whose peer is known.
///
/// Of IPv4 in IPv6 it is the IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIp {
    pub(super) ip: IpAddr,
    pub(super) hops: usize,
    pub(super) is_https: Option<bool>,
    pub(super) host: Option<String>,
}

impl ClientIp {
    /// The address.
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// How many trusted proxies the request came through. With none, the address is the peer's.
    pub const fn hops(&self) -> usize {
        self.hops
    }

    /// Whether the client spoke `https`, if a trusted proxy said so.
    pub const fn is_https(&self) -> Option<bool> {
        self.is_https
    }

    /// The host that the client asked for, if a trusted proxy said so. It is still the client's word: see [`host`](crate::host).
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip.fmt(f)
    }
}

/// Where the walk ends: the client, and how many trusted proxies are behind it. `nodes` are what proxies wrote, from the right.
pub(super) fn walk(
    peer: IpAddr,
    trusted: &TrustedNetworks,
    nodes: impl Iterator<Item: AsRef<str>>,
) -> (IpAddr, usize) {
    let mut client = peer.to_canonical();
    let mut hops = 0;
    for node in nodes {
        if !trusted.contains(client) {
            break;
        }
        let Some(ip) = super::node_ip(node.as_ref()) else {
            break;
        };
        client = ip.to_canonical();
        hops += 1;
    }
    (client, hops)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_rightmost_that_is_not_trusted() {
        let trusted = TrustedNetworks::try_new(["10.0.0.0/8"]).expect("valid");
        for (peer, list, client, hops) in [
            ("198.51.100.1", "1.2.3.4", "198.51.100.1", 0),
            ("10.0.0.1", "", "10.0.0.1", 0),
            ("10.0.0.1", "203.0.113.9", "203.0.113.9", 1),
            ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9", 1),
            ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9", 2),
            (
                "10.0.0.1",
                "10.0.0.3, 203.0.113.9, 10.0.0.2",
                "203.0.113.9",
                2,
            ),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", 2),
            ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1", 0),
            ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2", 1),
            ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9", 1),
            ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1", 1),
        ] {
            let nodes = list.rsplit(',').filter(|node| !node.is_empty());
            let walked = walk(ip(peer), &trusted, nodes);
            assert_eq!(walked, (ip(client), hops), "{peer} with {list}");
        }
    }

    proptest! {
        /// Whatever a client puts in front, it stays who it is.
        #[test]
        fn nobody_can_claim_another_address(claim in "[ -~]{0,40}", proxies in 0_u8..4) {
            let trusted = TrustedNetworks::try_new(["10.0.0.0/8"]).expect("valid");
            let mut list = format!("{claim},203.0.113.9");
            for proxy in 0..proxies {
                list = format!("{list}, 10.0.0.{proxy}");
            }
            let (client, _) = walk(ip("10.9.9.9"), &trusted, list.rsplit(','));
            prop_assert_eq!(client, ip("203.0.113.9"));
        }
    }
}
