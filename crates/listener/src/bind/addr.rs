//! Where to listen, as it is written down.

use std::{
    convert::Infallible,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Where to listen.
///
/// Its text form is what configuration files hold:
///
/// ```
/// use bartizan_listener::ListenAddr;
///
/// assert!(matches!("127.0.0.1:8080".into(), ListenAddr::Tcp(_)));
/// assert!(matches!("localhost:8080".into(), ListenAddr::Name(_)));
/// assert_eq!(ListenAddr::from("unix:/run/app.sock"), ListenAddr::Unix("/run/app.sock".into()));
/// assert_eq!(ListenAddr::from("inherited"), ListenAddr::Inherited);
/// assert_eq!(ListenAddr::from("stdin").to_string(), "stdin");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A host and a port, to be resolved when it is bound.
    Name(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// Every socket that was passed by `LISTEN_FDS`. They can be taken once in the life of a process,
    /// and taking them removes the variable: at the start, while nobody else reads the environment.
    Inherited,
    /// The socket that is the standard input.
    Stdin,
}

impl From<&str> for ListenAddr {
    fn from(text: &str) -> Self {
        match text {
            "inherited" => Self::Inherited,
            "stdin" => Self::Stdin,
            _ => match (text.strip_prefix("unix:"), text.parse()) {
                (Some(path), _) => Self::Unix(path.into()),
                (None, Ok(addr)) => Self::Tcp(addr),
                (None, Err(_)) => Self::Name(text.to_owned()),
            },
        }
    }
}

/// Never fails: what is neither an address nor a name is found out when it is bound, as a name that nobody knows is.
impl FromStr for ListenAddr {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl From<String> for ListenAddr {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddr {
    fn from(addr: (I, u16)) -> Self {
        Self::Tcp(addr.into())
    }
}

impl From<&Path> for ListenAddr {
    fn from(path: &Path) -> Self {
        Self::Unix(path.into())
    }
}

impl From<PathBuf> for ListenAddr {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited => f.write_str("inherited"),
            Self::Stdin => f.write_str("stdin"),
        }
    }
}
