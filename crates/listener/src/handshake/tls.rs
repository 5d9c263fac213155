//! TLS, by whichever library.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{Accepted, ConnectInfo};

/// Makes a handshake of a TLS acceptor: any `Service` from a transport to an encrypted one. See
/// [`Listener::tls`](crate::Listener::tls).
#[derive(Clone, Copy)]
pub struct TlsHandshake<S, F> {
    acceptor: S,
    describe: F,
}

impl<S, F> TlsHandshake<S, F> {
    /// Encrypts by `acceptor`, and has `describe` note what is known of the connection then.
    ///
    /// `describe` is given the encrypted transport. What it inserts into
    /// [`extensions_mut`](crate::ConnectInfo::extensions_mut) is with every request. That the connection
    /// [is encrypted](crate::ConnectInfo::is_tls) is noted before.
    pub const fn new(acceptor: S, describe: F) -> Self {
        Self { acceptor, describe }
    }
}

impl<S, F, IO> Service<Accepted<IO>> for TlsHandshake<S, F>
where
    S: Service<IO>,
    F: Fn(&S::Response, &mut ConnectInfo) + Clone,
{
    type Response = Accepted<S::Response>;
    type Error = S::Error;
    type Future = TlsFuture<S::Future, F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.acceptor.poll_ready(cx)
    }

    fn call(&mut self, accepted: Accepted<IO>) -> Self::Future {
        TlsFuture {
            accept: self.acceptor.call(accepted.io),
            info: Some(accepted.info),
            describe: self.describe.clone(),
        }
    }
}

pin_project! {
    /// A TLS handshake. Dropping it closes the connection.
    pub struct TlsFuture<Fut, F> {
        #[pin]
        accept: Fut,
        info: Option<ConnectInfo>,
        describe: F,
    }
}

impl<Fut, F, T, E> Future for TlsFuture<Fut, F>
where
    Fut: Future<Output = Result<T, E>>,
    F: Fn(&T, &mut ConnectInfo),
{
    type Output = Result<Accepted<T>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let io = ready!(this.accept.poll(cx))?;
        let mut info = this.info.take().expect("it is not polled after its end");
        info.set_tls(None);
        (this.describe)(&io, &mut info);
        Poll::Ready(Ok(Accepted::new(io, info)))
    }
}

impl<S: fmt::Debug, F> fmt::Debug for TlsHandshake<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsHandshake")
            .field("acceptor", &self.acceptor)
            .finish_non_exhaustive()
    }
}

impl<Fut, F> fmt::Debug for TlsFuture<Fut, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFuture").finish_non_exhaustive()
    }
}
