//! Why there is no listener.

use std::{error::Error, fmt, io};

/// A socket could not be bound, or not be taken over. The message names the address, and says what to do.
///
/// ```
/// use bartizan_listener::Listener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let first = Listener::bind("127.0.0.1:0").await?;
/// let addr = first.local_addr();
///
/// let error = Listener::bind(addr).await.unwrap_err();
/// assert!(error.is_in_use());
/// assert_eq!(
///     error.to_string(),
///     format!("{addr} is already in use: choose another port, or stop what listens there")
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BindError {
    attempt: Attempt,
    source: io::Error,
}

#[derive(Debug)]
enum Attempt {
    /// Of an address as it was given.
    Resolve(String),
    /// Of an address as it was resolved.
    Bind(String),
    Adopt,
    /// Of what was not passed.
    Inherit,
    /// Of no address at all.
    Nothing,
}

impl BindError {
    pub(crate) fn resolve(addr: &dyn fmt::Debug, source: io::Error) -> Self {
        Self {
            attempt: Attempt::Resolve(format!("{addr:?}")),
            source,
        }
    }

    pub(crate) fn bind(addr: impl fmt::Display, source: io::Error) -> Self {
        Self {
            attempt: Attempt::Bind(addr.to_string()),
            source,
        }
    }

    pub(crate) const fn adopt(source: io::Error) -> Self {
        Self {
            attempt: Attempt::Adopt,
            source,
        }
    }

    #[cfg(unix)]
    pub(crate) fn not_inherited() -> Self {
        Self {
            attempt: Attempt::Inherit,
            source: io::ErrorKind::NotFound.into(),
        }
    }

    pub(crate) fn nothing() -> Self {
        Self {
            attempt: Attempt::Nothing,
            source: io::ErrorKind::InvalidInput.into(),
        }
    }

    /// Whether something listens on that address already.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }

    /// Whether the process may not listen there. On Unix, ports below 1024 are for the privileged.
    pub fn is_forbidden(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    /// Whether the address belongs to no interface of this machine.
    pub fn is_unavailable(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrNotAvailable
    }

    /// Whether a name could not be resolved, or the text was no address at all.
    pub const fn is_unresolved(&self) -> bool {
        matches!(self.attempt, Attempt::Resolve(_))
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attempt {
            Attempt::Resolve(addr) => write!(
                f,
                "cannot resolve {addr}: give an address and a port, such as \"127.0.0.1:8080\", or a name that is known here"
            ),
            Attempt::Adopt => {
                f.write_str("cannot take over the socket: give one that is bound, and listens")
            }
            Attempt::Inherit => f.write_str(
                "no sockets were inherited: start the process with LISTEN_FDS, as systemd does, and take them once",
            ),
            Attempt::Nothing => f.write_str("nothing to listen on: give an address"),
            Attempt::Bind(addr) if self.is_in_use() => write!(
                f,
                "{addr} is already in use: choose another port, or stop what listens there"
            ),
            Attempt::Bind(addr) if self.is_forbidden() && addr.starts_with("unix:") => write!(
                f,
                "listening on {addr} is forbidden: choose a path in a directory that the process may write to"
            ),
            Attempt::Bind(addr) if self.is_forbidden() => write!(
                f,
                "listening on {addr} is forbidden: choose a port from 1024 on, or give the process the right to bind it"
            ),
            Attempt::Bind(addr) if self.is_unavailable() => write!(
                f,
                "{addr} is no address of this machine: choose one that is, or 0.0.0.0 for all of them"
            ),
            Attempt::Bind(addr) => write!(f, "cannot listen on {addr}"),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_do_and_leaves_the_cause_to_the_source() {
        for (kind, says) in [
            (
                io::ErrorKind::AddrInUse,
                "127.0.0.1:80 is already in use: choose",
            ),
            (
                io::ErrorKind::PermissionDenied,
                "listening on 127.0.0.1:80 is forbidden: choose",
            ),
            (
                io::ErrorKind::AddrNotAvailable,
                "127.0.0.1:80 is no address of this machine",
            ),
            (io::ErrorKind::OutOfMemory, "cannot listen on 127.0.0.1:80"),
        ] {
            let error = BindError::bind("127.0.0.1:80", io::Error::new(kind, "the cause"));
            assert!(error.to_string().starts_with(says), "{error}");
            assert!(!error.to_string().contains("the cause"));
            assert_eq!(
                error.source().map(ToString::to_string).as_deref(),
                Some("the cause")
            );
            assert_eq!(error.is_in_use(), kind == io::ErrorKind::AddrInUse);
            assert_eq!(
                error.is_forbidden(),
                kind == io::ErrorKind::PermissionDenied
            );
            assert_eq!(
                error.is_unavailable(),
                kind == io::ErrorKind::AddrNotAvailable
            );
        }
    }
}
