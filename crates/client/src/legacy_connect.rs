//! A TCP connection, within a time that covers all of it.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::{BoxError, find};
use http::Uri;
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{Error, connect::Destination, error::Kind, resolve::Unresolved};

/// hyper-util's connector, with happy eyeballs, under one time limit.
///
/// Its own limit starts only after the name is resolved, and counts per address.
#[derive(Clone)]
pub(crate) struct Connector<R> {
    http: HttpConnector<R>,
    timeout: Option<Duration>,
}

impl<R> Connector<R> {
    pub(crate) fn new(resolver: R, timeout: Option<Duration>, nodelay: bool) -> Self {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.set_nodelay(nodelay);
        // It divides the time among the addresses, so that one that swallows packets leaves time for the next.
        http.set_connect_timeout(timeout);
        Self { http, timeout }
    }
}

impl<R, A> Service<Destination> for Connector<R>
where
    R: Service<Name, Response = A> + Clone + Send + Sync + 'static,
    R::Error: Into<BoxError>,
    R::Future: Send,
    A: Iterator<Item = SocketAddr> + Send,
{
    type Response = TcpStream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TcpStream, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ready = self.http.poll_ready(cx);
        ready.map_err(|error| Error::new(Kind::Connect, "the connector failed").with_source(error))
    }

    fn call(&mut self, destination: Destination) -> Self::Future {
        if destination.is_https() {
            let error = Error::new(
                Kind::Builder,
                "https is not supported by this transport: it has no TLS",
            );
            return Box::pin(async { Err(error) });
        }
        let uri = Uri::try_from(destination.to_string()).expect("it was made of a URI");
        let connecting = self.http.call(uri);
        let timeout = self.timeout;
        Box::pin(async move {
            let connected = match timeout {
                None => connecting.await.map_err(BoxError::from),
                Some(timeout) => match tokio::time::timeout(timeout, connecting).await {
                    Ok(connected) => connected.map_err(BoxError::from),
                    Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed).into()),
                },
            };
            match connected {
                Ok(stream) => Ok(stream.into_inner()),
                Err(error) => Err(explain(error, &destination, timeout.unwrap_or_default())),
            }
        })
    }
}

fn explain(error: BoxError, destination: &Destination, timeout: Duration) -> Error {
    let (host, port) = (destination.host(), destination.port());
    let (kind, message) = match kind(&*error) {
        Kind::Dns => (
            Kind::Dns,
            format!("`{host}` does not resolve; check the name"),
        ),
        Kind::ConnectTimeout => (
            Kind::ConnectTimeout,
            format!(
                "no connection within {timeout:?}: tried {host}:{port}; check that it is reachable, or raise `connect_timeout`"
            ),
        ),
        _ => return Error::of_connector(error, destination),
    };
    Error::new(kind, message).with_source(error)
}

fn kind(error: &(dyn StdError + 'static)) -> Kind {
    if find::<Unresolved>(error).is_some() {
        return Kind::Dns;
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Kind::ConnectTimeout,
        _ => Kind::Connect,
    }
}

#[cfg(test)]
mod tests {
    use std::{future, vec};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_connect_timeout_covers_a_resolver_that_hangs() {
        let never = tower::service_fn(|_: Name| {
            future::pending::<Result<vec::IntoIter<SocketAddr>, io::Error>>()
        });
        let timeout = Duration::from_secs(5);
        let started = Instant::now();

        let uri = Uri::from_static("http://slow.example");
        let error = Connector::new(never, Some(timeout), true)
            .call(Destination::of(&uri).expect("a destination"))
            .await
            .expect_err("no address ever comes");

        assert!(error.is_timeout() && error.is_connect() && error.is_unsent());
        assert_eq!(started.elapsed(), timeout);
    }
}
