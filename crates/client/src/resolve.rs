//! Names to addresses: the system's resolver, and the names that must not reach it.

use std::{
    error, fmt,
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::{GaiFuture, GaiResolver, Name};
use tower_service::Service;

/// The system's resolver, and RFC 6761: `localhost` is this machine (section 6.3), and `.invalid` is nowhere (section 6.4).
///
/// The system may send both to a name server, which may answer anything.
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

impl Resolver {
    pub(crate) fn new() -> Self {
        Self(GaiResolver::new())
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Resolving;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(Unresolved::from)
    }

    fn call(&mut self, name: Name) -> Resolving {
        match Special::of(name.as_str()) {
            Some(Special::Localhost) => {
                // In the order of RFC 6724. The connector falls back to the other at once if nothing listens on the first.
                let loopback = vec![
                    SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
                    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                ];
                Resolving(Lookup::Known(Some(Ok(loopback))))
            }
            Some(Special::Invalid) => {
                let error = io::Error::new(
                    io::ErrorKind::NotFound,
                    "names under .invalid never resolve (RFC 6761 section 6.4)",
                );
                Resolving(Lookup::Known(Some(Err(error))))
            }
            None => Resolving(Lookup::System(self.0.call(name))),
        }
    }
}

pub(crate) struct Resolving(Lookup);

enum Lookup {
    Known(Option<io::Result<Vec<SocketAddr>>>),
    System(GaiFuture),
}

impl Future for Resolving {
    type Output = Result<vec::IntoIter<SocketAddr>, Unresolved>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.0 {
            Lookup::Known(result) => result.take().expect("polled after completion"),
            Lookup::System(lookup) => match Pin::new(lookup).poll(cx) {
                Poll::Ready(result) => result.map(Iterator::collect),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(match result {
            Ok(addresses) if addresses.is_empty() => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into())
            }
            Ok(addresses) => Ok(addresses.into_iter()),
            Err(error) => Err(error.into()),
        })
    }
}

/// Marks a failure as one of resolution, among the `io::Error`s of connecting.
#[derive(Debug)]
pub(crate) struct Unresolved(io::Error);

impl From<io::Error> for Unresolved {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address")
    }
}

impl error::Error for Unresolved {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

#[derive(Debug, PartialEq)]
enum Special {
    Localhost,
    Invalid,
}

impl Special {
    fn of(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let top = name.rsplit('.').next()?;
        if top.eq_ignore_ascii_case("localhost") {
            Some(Self::Localhost)
        } else if top.eq_ignore_ascii_case("invalid") {
            Some(Self::Invalid)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_names_are_known_in_any_spelling() {
        for (name, special) in [
            ("localhost", Some(Special::Localhost)),
            ("LocalHost.", Some(Special::Localhost)),
            ("app.localhost", Some(Special::Localhost)),
            ("localhost.example.com", None),
            ("mylocalhost", None),
            ("x.invalid", Some(Special::Invalid)),
            ("X.INVALID.", Some(Special::Invalid)),
            ("invalid", Some(Special::Invalid)),
            ("invalid.example.com", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(Special::of(name), special, "{name}");
        }
    }

    #[tokio::test]
    async fn localhost_is_loopback_of_both_families() {
        let name = "app.localhost".parse().expect("a name");
        let addresses: Vec<_> = Resolver::new()
            .call(name)
            .await
            .expect("addresses")
            .collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(addresses.iter().any(SocketAddr::is_ipv4));
        assert!(addresses.iter().any(SocketAddr::is_ipv6));
    }
}
