//! A TCP connection, within a time that covers all of it.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::BoxError;
use http::Uri;
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

/// hyper-util's connector, with happy eyeballs, under one time limit.
///
/// Its own limit starts only after the name is resolved, and counts per address.
#[derive(Clone)]
pub(crate) struct Connector<R> {
    http: HttpConnector<R>,
    timeout: Duration,
}

impl<R> Connector<R> {
    pub(crate) fn new(resolver: R, timeout: Duration, nodelay: bool) -> Self {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.set_nodelay(nodelay);
        // It divides the time among the addresses, so that one that swallows packets leaves time for the next.
        http.set_connect_timeout(Some(timeout));
        Self { http, timeout }
    }
}

impl<R, A> Service<Uri> for Connector<R>
where
    R: Service<Name, Response = A> + Clone + Send + Sync + 'static,
    R::Error: Into<BoxError>,
    R::Future: Send,
    A: Iterator<Item = SocketAddr> + Send,
{
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = self.http.call(destination);
        let timeout = self.timeout;
        Box::pin(async move {
            match tokio::time::timeout(timeout, connecting).await {
                Ok(connected) => Ok(connected?),
                Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed).into()),
            }
        })
    }
}
