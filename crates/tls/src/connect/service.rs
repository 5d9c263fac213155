//! The layer, its service, and the future of a connection.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, ConfigError};
use pin_project_lite::pin_project;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep_until,
};
use tower_layer::Layer;
use tower_service::Service;

use super::{ClientTls, ConnectorHandle, Target, settings::ClientProfile};
use crate::{
    Error, MaybeTls, Stage, TlsInfo, TlsStream,
    error::Kind,
    options::is_protocol,
    reload::{Current, Snapshot},
    settle::{deadline_after, within},
};

pub(super) type Shared = Arc<Current<ClientTls, ClientProfile>>;

/// Puts TLS on the connections of a connector. See the [module](super).
#[derive(Clone, Debug)]
pub struct TlsConnectorLayer {
    shared: Shared,
}

impl TlsConnectorLayer {
    /// A layer with these settings. All its services, and their clones, share them, and the sessions to resume.
    ///
    /// # Errors
    ///
    /// If the settings cannot be used together: a suite that the provider does not have, versions in the wrong order, a name that is
    /// none, no time at all.
    pub fn try_new(settings: ClientTls) -> Result<Self, ConfigError> {
        let profile = settings.build()?;
        Ok(Self {
            shared: Arc::new(Current::new(settings, profile)),
        })
    }

    /// Changes the settings while they are in use.
    pub fn handle(&self) -> ConnectorHandle {
        ConnectorHandle::new(Arc::clone(&self.shared))
    }
}

impl<C> Layer<C> for TlsConnectorLayer {
    type Service = TlsConnector<C>;

    fn layer(&self, inner: C) -> TlsConnector<C> {
        TlsConnector {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A connector whose connections have TLS on them. See the [module](super).
#[derive(Clone, Debug)]
pub struct TlsConnector<C> {
    inner: C,
    shared: Shared,
}

impl<C, T> Service<T> for TlsConnector<C>
where
    C: Service<T>,
    C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    T: Target,
{
    type Response = MaybeTls<C::Response>;
    type Error = BoxError;
    type Future = ConnectFuture<C::Future, C::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let plan = match Plan::of(&target, &self.shared) {
            Ok(plan) => plan,
            // A name that is none needs no connection to be found out.
            Err(error) => {
                return ConnectFuture {
                    state: State::Failed { error: Some(error) },
                };
            }
        };
        ConnectFuture {
            state: State::Connecting {
                inner: self.inner.call(target),
                plan,
            },
        }
    }
}

/// What is to be done with a connection once it is there, by the settings of when it was asked for.
struct Plan {
    tls: Option<(ServerName<'static>, Option<Vec<Vec<u8>>>)>,
    snapshot: Arc<Snapshot<ClientTls, ClientProfile>>,
}

impl Plan {
    fn of(target: &impl Target, shared: &Shared) -> Result<Self, Error> {
        let snapshot = shared.load();
        if !target.is_tls() {
            return Ok(Self {
                tls: None,
                snapshot,
            });
        }
        let refused = |message| {
            Error::new(Stage::Name, Kind::Input, message).with_peer(Some(target.server_name()))
        };
        let name = match &snapshot.profile.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(target.server_name().to_owned()).map_err(|error| {
                refused(
                    "the name is no host name and no IP address, so that no certificate can be for it",
                )
                .with_source(error)
            })?,
        };
        let alpn = target.alpn();
        if let Some(invalid) = alpn.iter().flatten().find(|name| !is_protocol(name)) {
            return Err(refused(
                "the target offers an application protocol (ALPN) whose name is not of 1 to 255 bytes",
            )
            .with_source(format!("a name of {} bytes", invalid.len())));
        }
        Ok(Self {
            tls: Some((name, alpn)),
            snapshot,
        })
    }
}

pin_project! {
    /// The connection, and the handshake on it. Dropping it closes the connection.
    pub struct ConnectFuture<F, IO> {
        #[pin]
        state: State<F, IO>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, IO> {
        Connecting {
            #[pin]
            inner: F,
            plan: Plan,
        },
        Handshaking {
            // Boxed, because the handshake is a dozen states of its own.
            handshake: Pin<Box<dyn Future<Output = Result<MaybeTls<IO>, BoxError>> + Send>>,
        },
        Failed {
            error: Option<Error>,
        },
    }
}

impl<F, IO, E> Future for ConnectFuture<F, IO>
where
    F: Future<Output = Result<IO, E>>,
    E: Into<BoxError>,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Result<MaybeTls<IO>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Connecting => (Handshaking | done)
                StateProj::Connecting { inner, plan } => {
                    let io = ready!(inner.poll(cx)).map_err(Into::into)?;
                    let Some((name, alpn)) = plan.tls.take() else {
                        return Poll::Ready(Ok(MaybeTls::plain(io)));
                    };
                    let snapshot = Arc::clone(&plan.snapshot);
                    let handshake = Box::pin(async move {
                        match handshake(snapshot, name, alpn, io).await {
                            Ok(stream) => Ok(MaybeTls::tls(stream)),
                            Err(error) => Err(error.into()),
                        }
                    });
                    this.state.set(State::Handshaking { handshake });
                }
                // ## Handshaking => done
                StateProj::Handshaking { handshake } => return handshake.as_mut().poll(cx),
                // ## Failed => done
                StateProj::Failed { error } => {
                    let error = error
                        .take()
                        .expect("a future is not polled after it is done");
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }
}

impl<F, IO> fmt::Debug for ConnectFuture<F, IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFuture").finish_non_exhaustive()
    }
}

async fn handshake<IO>(
    snapshot: Arc<Snapshot<ClientTls, ClientProfile>>,
    name: ServerName<'static>,
    alpn: Option<Vec<Vec<u8>>>,
    io: IO,
) -> Result<TlsStream<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin,
{
    let profile = &snapshot.profile;
    let mut deadline = pin!(sleep_until(deadline_after(profile.timeout)));
    let peer = name.to_str().into_owned();
    let about = |error: Error| error.with_peer(Some(&peer));

    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&profile.config));
    let connecting = match alpn {
        Some(alpn) => connector.with_alpn(alpn).connect(name, io),
        None => connector.connect(name, io),
    };
    let stream = match within(deadline.as_mut(), connecting).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return Err(about(Error::of_handshake(error, Stage::Handshake))),
        None => {
            return Err(about(Error::timed_out(
                Stage::Handshake,
                "the handshake did not end in time; check that the peer speaks TLS",
            )));
        }
    };

    let path = profile.checks.path(stream.get_ref().1).map_err(about)?;
    let verdict = profile
        .checks
        .revocation(path, deadline)
        .await
        .map_err(about)?;
    let info = TlsInfo::new(
        stream.get_ref().1,
        Some(peer),
        profile.verification,
        verdict,
    );
    Ok(TlsStream::new(stream, info))
}
