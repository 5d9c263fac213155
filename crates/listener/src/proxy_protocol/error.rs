//! What is wrong with a header.

use std::{error::Error, fmt, io};

/// There is no connection, because of the PROXY header that came, or did not.
#[derive(Debug)]
pub struct ProxyProtocolError(Kind);

#[derive(Debug)]
enum Kind {
    Missing,
    Forbidden,
    Malformed(&'static str),
    Io(io::Error),
}

impl ProxyProtocolError {
    pub(super) const fn missing() -> Self {
        Self(Kind::Missing)
    }

    pub(super) const fn forbidden() -> Self {
        Self(Kind::Forbidden)
    }

    pub(super) const fn malformed(what: &'static str) -> Self {
        Self(Kind::Malformed(what))
    }

    pub(super) const fn io(error: io::Error) -> Self {
        Self(Kind::Io(error))
    }

    /// Whether a trusted peer sent no header.
    pub const fn is_missing(&self) -> bool {
        matches!(self.0, Kind::Missing)
    }

    /// Whether a peer that is not trusted sent one.
    pub const fn is_forbidden(&self) -> bool {
        matches!(self.0, Kind::Forbidden)
    }

    /// Whether there was one that breaks the protocol.
    pub const fn is_malformed(&self) -> bool {
        matches!(self.0, Kind::Malformed(_))
    }
}

impl fmt::Display for ProxyProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Missing => f.write_str(
                "no PROXY header from a trusted network: turn it on in the proxy, or take the network off the list",
            ),
            Kind::Forbidden => f.write_str(
                "a PROXY header from a network that is not trusted: put it on the list if it is the proxy's",
            ),
            Kind::Malformed(what) => write!(f, "a PROXY header that breaks the protocol: {what}"),
            Kind::Io(_) => f.write_str("the connection broke before its PROXY header had come"),
        }
    }
}

impl Error for ProxyProtocolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Io(error) => Some(error),
            Kind::Missing | Kind::Forbidden | Kind::Malformed(_) => None,
        }
    }
}
