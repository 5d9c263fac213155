//! Hosts whose addresses are known already.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use bartizan_core::ConfigError;

use super::Name;

/// Hosts whose addresses are known already, so that no resolver is asked: what `--resolve` is for curl.
///
/// One host may have addresses for every port, and others for some. URLs, `Host` headers and certificates go by the name as ever.
///
/// ```
/// use bartizan_client::{connect::{Destination, SocketConnector}, dns::StaticOverrides};
/// use bartizan_testing::RawServer;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
///
/// // The port comes with the address.
/// let overrides = StaticOverrides::new().try_host_port("api.example.com", 80, [server.addr()])?;
/// let connector = SocketConnector::new().overrides(overrides);
///
/// let destination = Destination::of(&"http://api.example.com/".parse()?).unwrap();
/// connector.oneshot(destination).await?;
/// server.closed().await;
/// assert_eq!(server.connections(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticOverrides {
    hosts: HashMap<Name, Vec<IpAddr>>,
    /// All addresses of a host and port are on one port.
    ports: HashMap<(Name, u16), (Vec<IpAddr>, u16)>,
}

impl StaticOverrides {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to `addresses` for every port of `host`.
    ///
    /// # Errors
    ///
    /// If the host is no [`Name`], or there is no address.
    pub fn try_host(
        mut self,
        host: &str,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Self, ConfigError> {
        let addresses: Vec<_> = addresses.into_iter().collect();
        let name = parse(host, addresses.is_empty())?;
        self.hosts.insert(name, addresses);
        Ok(self)
    }

    /// Connects to `addresses` for one port of `host`. Their port, which is the same in all of them, may be another.
    ///
    /// # Errors
    ///
    /// If the host is no [`Name`], or there is no address, or their ports differ.
    pub fn try_host_port(
        mut self,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Self, ConfigError> {
        let addresses: Vec<_> = addresses.into_iter().collect();
        let name = parse(host, addresses.is_empty())?;
        let to = addresses[0].port();
        if let Some(other) = addresses.iter().find(|address| address.port() != to) {
            return Err(ConfigError::new(
                "addresses",
                other,
                format!("port {to}, as the first has"),
            ));
        }
        let addresses = addresses.iter().map(SocketAddr::ip).collect();
        self.ports.insert((name, port), (addresses, to));
        Ok(self)
    }

    /// The addresses and the port for `host` and `port`, if they are known.
    pub(crate) fn get(&self, host: &str, port: u16) -> Option<(Vec<IpAddr>, u16)> {
        if self.hosts.is_empty() && self.ports.is_empty() {
            return None;
        }
        let name: Name = host.parse().ok()?;
        let key = (name, port);
        match self.ports.get(&key) {
            Some(found) => Some(found.clone()),
            None => Some((self.hosts.get(&key.0)?.clone(), port)),
        }
    }
}

fn parse(host: &str, is_empty: bool) -> Result<Name, ConfigError> {
    if is_empty {
        return Err(ConfigError::new("addresses", "", "at least one address"));
    }
    host.parse()
        .map_err(|error| ConfigError::new("host", host, "the name of a host").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_its_own_comes_first() {
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let overrides = StaticOverrides::new()
            .try_host("A.example", [one])
            .and_then(|o| o.try_host_port("a.example", 443, [SocketAddr::new(other, 8443)]))
            .expect("right");
        assert_eq!(overrides.get("a.Example", 80), Some((vec![one], 80)));
        assert_eq!(overrides.get("a.example", 443), Some((vec![other], 8443)));
        assert_eq!(overrides.get("b.example", 443), None);
        assert_eq!(overrides.get("10.0.0.1", 443), None);
    }

    #[test]
    fn what_cannot_be_says_why() {
        let none = StaticOverrides::new();
        let error = none.clone().try_host("a.example", []).expect_err("empty");
        assert_eq!(error.field(), "addresses");
        let error = none.clone().try_host("1.2.3.4", [IpAddr::from([0; 4])]);
        assert_eq!(error.expect_err("an address").field(), "host");
        let ports = ["10.0.0.1:1", "10.0.0.1:2"].map(|text| text.parse().expect("an address"));
        let error = none.try_host_port("a", 1, ports).expect_err("two ports");
        assert_eq!(error.value(), "10.0.0.1:2");
    }
}
