//! Whose word counts.

use std::{net::IpAddr, sync::Arc};

use bartizan_core::ConfigError;
use ipnet::IpNet;

/// The networks of the proxies that are trusted. Cheap to clone.
///
/// ```
/// use bartizan_listener::forwarded::TrustedNetworks;
///
/// let trusted = TrustedNetworks::try_new(["10.0.0.0/8", "2001:db8::1"]).unwrap();
/// assert!(trusted.contains("10.1.2.3".parse().unwrap()));
/// assert!(trusted.contains("::ffff:10.1.2.3".parse().unwrap()), "the same, on a dual-stack socket");
/// assert!(!trusted.contains("11.0.0.1".parse().unwrap()));
///
/// let error = TrustedNetworks::try_new(["10.0.0.0/33"]).unwrap_err();
/// assert!(error.to_string().starts_with("invalid trusted[0] `10.0.0.0/33`: expected"));
/// ```
#[derive(Clone, Debug)]
pub struct TrustedNetworks(Arc<[IpNet]>);

impl TrustedNetworks {
    /// These addresses and networks, as `192.0.2.1` or `192.0.2.0/24`.
    ///
    /// # Errors
    ///
    /// If one is neither.
    pub fn try_new<I>(networks: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks = networks.into_iter().enumerate().map(|(i, text)| {
            let text = text.as_ref();
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| text.parse()).map_err(|error| {
                let expected = "an IP address, or a network such as `10.0.0.0/8`";
                ConfigError::new(format!("trusted[{i}]"), text, expected).with_source(error)
            })
        });
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// Nobody: every request comes from its peer.
    pub fn none() -> Self {
        Self(Arc::new([]))
    }

    /// Loopback, and the networks that are not routed on the internet: RFC 1918, RFC 4193 and link-local addresses.
    ///
    /// Right where none but proxies can connect from there. In a shared network, name the proxies.
    #[expect(clippy::missing_panics_doc, reason = "the list is ours, and valid")]
    pub fn private() -> Self {
        let networks = [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ];
        Self::try_new(networks).expect("they are valid")
    }

    /// Whether the address is in one of them. One of IPv4 in IPv6 (RFC 4291 section 2.5.5.2) counts as the IPv4 address it is.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}
