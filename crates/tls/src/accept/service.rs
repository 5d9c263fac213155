//! The service, and the future of a handshake.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::ConfigError;
use rustls::server::Acceptor;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_rustls::LazyConfigAcceptor;
use tower_service::Service;

use super::{AcceptorHandle, ListenerTls, settings::ListenerProfile};
use crate::{
    Error, Stage, TlsInfo, TlsStream, Verification,
    reload::Current,
    settle::{deadline_after, within},
};

pub(super) type Shared = Arc<Current<ListenerTls, ListenerProfile>>;

/// Makes TLS connections of accepted ones. See the [module](super).
///
/// Clones share settings, tickets and places.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    shared: Shared,
}

impl TlsAcceptor {
    /// An acceptor with these settings.
    ///
    /// # Errors
    ///
    /// If the settings cannot be used together: no identity, one for a name that its certificate is not valid for, a suite that the
    /// provider does not have, versions in the wrong order, no time at all.
    pub fn try_new(settings: ListenerTls) -> Result<Self, ConfigError> {
        let profile = settings.build(None)?;
        Ok(Self {
            shared: Arc::new(Current::new(settings, profile)),
        })
    }

    /// Changes the settings while they are in use.
    pub fn handle(&self) -> AcceptorHandle {
        AcceptorHandle::new(Arc::clone(&self.shared))
    }

    /// The same as [`call`](Service::call), with a deadline that was set earlier: for a connection whose time already runs, because
    /// something had to be read before TLS begins, such as a PROXY header. The earlier of it and the settings' own counts.
    pub fn accept_until<IO>(&self, io: IO, deadline: Instant) -> AcceptFuture<IO>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let deadline = deadline.min(self.deadline());
        AcceptFuture {
            accept: Box::pin(accept(Arc::clone(&self.shared), io, deadline)),
        }
    }

    fn deadline(&self) -> Instant {
        deadline_after(self.shared.load().profile.timeout)
    }
}

impl<IO> Service<IO> for TlsAcceptor
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Response = TlsStream<IO>;
    type Error = Error;
    type Future = AcceptFuture<IO>;

    /// Always. What waits for a place waits in the future, where its time runs: the next connection may be one that needs none.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, io: IO) -> AcceptFuture<IO> {
        self.accept_until(io, self.deadline())
    }
}

/// A handshake. Dropping it closes the connection and gives its place back. Its time runs from when it was made.
pub struct AcceptFuture<IO> {
    // Boxed, because the handshake is a dozen states of its own.
    accept: Pin<Box<dyn Future<Output = Result<TlsStream<IO>, Error>> + Send>>,
}

impl<IO> Future for AcceptFuture<IO> {
    type Output = Result<TlsStream<IO>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.accept.as_mut().poll(cx)
    }
}

impl<IO> fmt::Debug for AcceptFuture<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptFuture").finish_non_exhaustive()
    }
}

async fn accept<IO>(shared: Shared, io: IO, deadline: Instant) -> Result<TlsStream<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut deadline = pin!(sleep_until(deadline));
    let hello = LazyConfigAcceptor::new(Acceptor::default(), io);
    let start = match within(deadline.as_mut(), hello).await {
        Some(Ok(start)) => start,
        Some(Err(error)) => return Err(Error::of_handshake(error, Stage::Hello)),
        None => {
            return Err(Error::timed_out(
                Stage::Hello,
                "the peer did not send its ClientHello in time",
            ));
        }
    };
    let name = start.client_hello().server_name().map(ToOwned::to_owned);
    let about = |error: Error| error.with_peer(name.as_deref());
    #[cfg(feature = "acme")]
    let is_challenge = crate::acme::is_challenge(&start.client_hello());

    let limit = shared.load().profile.limit.clone();
    let place = match limit {
        None => None,
        Some(limit) => match within(deadline.as_mut(), limit.free.acquire_owned()).await {
            Some(place) => Some(place.expect("nobody closes it")),
            None => {
                return Err(about(Error::timed_out(
                    Stage::Handshake,
                    "no place among the handshakes under way became free in time; compare max_handshakes with the load",
                )));
            }
        },
    };

    // Taken now, and not when the connection was accepted: a reload in between counts.
    let snapshot = shared.load();
    let profile = &snapshot.profile;
    #[cfg(feature = "acme")]
    let challenge = profile.challenge.as_ref().filter(|_| is_challenge);
    #[cfg(feature = "acme")]
    let config = challenge.unwrap_or(&profile.config);
    #[cfg(not(feature = "acme"))]
    let config = &profile.config;
    let accepting = start.into_stream(Arc::clone(config));
    let stream = match within(deadline.as_mut(), accepting).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return Err(about(Error::of_handshake(error, Stage::Handshake))),
        None => {
            return Err(about(Error::timed_out(
                Stage::Handshake,
                "the handshake did not end in time",
            )));
        }
    };
    #[cfg(feature = "acme")]
    if challenge.is_some() {
        return Err(about(Error::acme_challenge()));
    }
    // Others need not wait while somebody is asked about revocation.
    drop(place);

    let connection = stream.get_ref().1;
    let verification = match connection.peer_certificates() {
        Some([_, ..]) => Verification::Full,
        _ => Verification::NoCertificate,
    };
    let path = profile.checks.path(connection).map_err(about)?;
    let verdict = profile
        .checks
        .revocation(path, deadline)
        .await
        .map_err(about)?;
    let info = TlsInfo::new(stream.get_ref().1, name.clone(), verification, verdict);
    Ok(TlsStream::new(stream, info))
}
