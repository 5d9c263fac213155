//! Connections and their reuse: the one place that knows hyper-util's client.
//!
//! The rest of the crate knows [`Config`], [`Pool::send`] and [`Failure`].

use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Body, BoxError, find};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client, connect::HttpInfo},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    Protocol,
    legacy_connect::Connector,
    resolve::{Resolver, Unresolved},
};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) connect_timeout: Duration,
    pub(crate) nodelay: bool,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_idle_per_host: usize,
    pub(crate) protocol: Protocol,
}

/// hyper-util adds the idle timeout to the time it is now, which must not overflow.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Shared by its clones.
#[derive(Clone)]
pub(crate) struct Pool(Client<Connector<Resolver>, Body>);

impl Pool {
    pub(crate) fn new(config: &Config) -> Self {
        let connector = Connector::new(Resolver::new(), config.connect_timeout, config.nodelay);
        Self(
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(config.idle_timeout.min(FOREVER))
                .pool_max_idle_per_host(config.max_idle_per_host)
                .http2_only(config.protocol == Protocol::Http2)
                .build(connector),
        )
    }

    /// Sends a request whose URI is absolute.
    pub(crate) fn send(&self, request: Request<Body>) -> Sending {
        Sending(self.0.request(request))
    }
}

pub(crate) struct Sending(legacy::ResponseFuture);

impl Future for Sending {
    type Output = Result<Response<Incoming>, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(mut response) => {
                // A type of hyper-util's, on which nobody shall come to depend.
                response.extensions_mut().remove::<HttpInfo>();
                Ok(response)
            }
            Err(error) => Err(Failure::from(error)),
        })
    }
}

/// How far a request got that has no response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    Resolve,
    Connect,
    ConnectTimeout,
    /// On a connection, and certainly not written to it.
    Unwritten,
    /// Given up on this side: the request's body failed, or the runtime is going away.
    OurSide,
    Exchange,
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) source: BoxError,
}

impl From<legacy::Error> for Failure {
    fn from(error: legacy::Error) -> Self {
        let stage = match find::<hyper::Error>(&error) {
            _ if error.is_connect() => connect_stage(&error),
            // hyper cancels what it hands back unwritten, and nothing else.
            Some(error) if error.is_canceled() => Stage::Unwritten,
            Some(error) if error.is_user() => Stage::OurSide,
            _ => Stage::Exchange,
        };
        Self {
            stage,
            source: error.into(),
        }
    }
}

fn connect_stage(error: &(dyn Error + 'static)) -> Stage {
    if find::<Unresolved>(error).is_some() {
        return Stage::Resolve;
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Stage::ConnectTimeout,
        _ => Stage::Connect,
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").finish_non_exhaustive()
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sending").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use hyper_util::client::legacy::connect::dns::Name;
    use std::{future, net::SocketAddr, vec};
    use tokio::time::Instant;
    use tower_service::Service;

    #[tokio::test(start_paused = true)]
    async fn the_connect_timeout_covers_a_resolver_that_hangs() {
        let never = tower::service_fn(|_: Name| {
            future::pending::<Result<vec::IntoIter<SocketAddr>, io::Error>>()
        });
        let timeout = Duration::from_secs(5);
        let started = Instant::now();

        let error = Connector::new(never, timeout, true)
            .call("http://slow.example".parse().expect("a URI"))
            .await
            .expect_err("no address ever comes");

        assert_eq!(connect_stage(&*error), Stage::ConnectTimeout);
        assert_eq!(started.elapsed(), timeout);
    }
}
