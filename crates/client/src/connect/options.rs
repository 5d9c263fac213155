//! How to reach an origin where that is not the ordinary way.

use std::{net::IpAddr, path::Path, sync::Arc};

#[cfg(feature = "proxy")]
use crate::proxy::{Proxy, Route};

/// How to reach an origin where that is not the ordinary way: an option of one request, read from its extensions.
///
/// Requests with different options never share a connection. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectOptions(Arc<Options>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Options {
    isolation: Option<Arc<str>>,
    local_address: Option<IpAddr>,
    #[cfg(feature = "proxy")]
    route: Option<Route>,
    tls_profile: Option<Arc<str>>,
    unix_socket: Option<Arc<Path>>,
}

impl ConnectOptions {
    /// The ordinary way.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the connections of one tag apart from those of every other: of one tenant, or one user, of the caller's.
    #[must_use]
    pub fn isolation(self, tag: impl Into<Arc<str>>) -> Self {
        self.with(|options| options.isolation = Some(tag.into()))
    }

    /// Connects from this address of this machine.
    #[must_use]
    pub fn local_address(self, address: IpAddr) -> Self {
        self.with(|options| options.local_address = Some(address))
    }

    /// Goes through this proxy, whatever the rules of the connector say.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(self, proxy: Proxy) -> Self {
        self.with(|options| options.route = Some(Route::Via(proxy)))
    }

    /// Goes through no proxy, whatever the rules of the connector say.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn direct(self) -> Self {
        self.with(|options| options.route = Some(Route::Direct))
    }

    /// Names the TLS settings to use, among those that the connector knows.
    #[must_use]
    pub fn tls_profile(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|options| options.tls_profile = Some(name.into()))
    }

    /// Connects to a Unix socket instead of the host, which then only fills the `Host` header.
    #[must_use]
    pub fn unix_socket(self, path: impl Into<Arc<Path>>) -> Self {
        self.with(|options| options.unix_socket = Some(path.into()))
    }

    /// The tag that keeps connections apart.
    pub fn get_isolation(&self) -> Option<&str> {
        self.0.isolation.as_deref()
    }

    /// The address to connect from.
    pub fn get_local_address(&self) -> Option<IpAddr> {
        self.0.local_address
    }

    /// The way, if it is not up to the rules of the connector.
    #[cfg(feature = "proxy")]
    pub fn get_route(&self) -> Option<&Route> {
        self.0.route.as_ref()
    }

    /// The name of the TLS settings.
    pub fn get_tls_profile(&self) -> Option<&str> {
        self.0.tls_profile.as_deref()
    }

    /// The path of the Unix socket.
    pub fn get_unix_socket(&self) -> Option<&Path> {
        self.0.unix_socket.as_deref()
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}
