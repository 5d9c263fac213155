//! An end of a connection, whatever it is a connection of.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

/// Where a connection comes from, or where it arrived.
///
/// Cheap to clone. A program that listens on TCP only asks for [`ip`](Self::ip); one that also listens on Unix sockets has to say
/// what it makes of a peer that has none.
///
/// ```
/// use bartizan_listener::Address;
/// use std::net::SocketAddr;
///
/// let tcp = Address::from(SocketAddr::from(([192, 0, 2, 7], 4711)));
/// assert_eq!(tcp.ip().unwrap().to_string(), "192.0.2.7");
/// assert_eq!(tcp.to_string(), "192.0.2.7:4711");
///
/// // Clients of a Unix socket mostly have no name.
/// assert_eq!(Address::Unix(None).ip(), None);
/// assert_eq!(Address::Unix(None).to_string(), "unix:");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// Of a TCP socket. An IPv4 address that came through an IPv6 socket is an IPv4 address here.
    Tcp(SocketAddr),
    /// Of a Unix socket. `None` if it has no name; names of Linux' abstract namespace begin with `@` here, as `ss` shows them.
    Unix(Option<Arc<Path>>),
    /// Of a connection within the process.
    Memory,
}

impl Address {
    /// The IP address. `None` if it is not one of TCP.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            Self::Unix(_) | Self::Memory => None,
        }
    }

    /// The IP address and the port. `None` if it is not one of TCP.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Unix(_) | Self::Memory => None,
        }
    }
}

/// An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), which is what a dual-stack socket tells of IPv4 peers, becomes the IPv4
/// address that it stands for: or every rule about networks would have to be written twice.
impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        match addr.ip().to_canonical() {
            IpAddr::V4(ip) => Self::Tcp((ip, addr.port()).into()),
            IpAddr::V6(_) => Self::Tcp(addr),
        }
    }
}

#[cfg(unix)]
impl From<tokio::net::unix::SocketAddr> for Address {
    fn from(addr: tokio::net::unix::SocketAddr) -> Self {
        Self::from(std::os::unix::net::SocketAddr::from(addr))
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::SocketAddr> for Address {
    fn from(addr: std::os::unix::net::SocketAddr) -> Self {
        if let Some(path) = addr.as_pathname() {
            return Self::Unix(Some(path.into()));
        }
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;

            if let Some(name) = addr.as_abstract_name() {
                let shown = format!("@{}", String::from_utf8_lossy(name));
                return Self::Unix(Some(Path::new(&shown).into()));
            }
        }
        Self::Unix(None)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_one_it_stands_for() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:80".parse().expect("valid");
        assert_eq!(Address::from(mapped).to_string(), "192.0.2.1:80");
        let own: SocketAddr = "[2001:db8::1]:80".parse().expect("valid");
        assert_eq!(Address::from(own).socket_addr(), Some(own));
    }

    #[test]
    fn names_of_unix_sockets() {
        let named = Address::Unix(Some(Path::new("/run/app.sock").into()));
        assert_eq!(named.to_string(), "unix:/run/app.sock");
        assert_eq!((named.ip(), named.socket_addr()), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_shown_as_ss_shows_it() {
        use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};

        let addr = SocketAddr::from_abstract_name("app").expect("valid");
        assert_eq!(Address::from(addr).to_string(), "unix:@app");
    }
}
