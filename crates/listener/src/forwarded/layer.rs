//! The layer that finds the client.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::problem;
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Request, Response, StatusCode, header::FORWARDED};
use tower_layer::Layer;
use tower_service::Service;

use super::{ClientIp, ResponseFuture, TrustedNetworks, parser, walk::walk};
use crate::ConnectInfo;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

type PeerFrom = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;

/// Finds the client's address, by what trusted proxies wrote. See the [module](super).
#[derive(Clone)]
pub struct ForwardedLayer {
    style: Style,
    trusted: TrustedNetworks,
    peer_from: PeerFrom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Standard,
    X,
}

/// A field of a trusted peer that does not parse.
struct Malformed;

impl ForwardedLayer {
    /// Reads `X-Forwarded-For`, `-Proto` and `-Host`, which nearly all proxies write.
    pub fn x_forwarded(trusted: TrustedNetworks) -> Self {
        Self::new(Style::X, trusted)
    }

    /// Reads `Forwarded` (RFC 7239).
    pub fn forwarded(trusted: TrustedNetworks) -> Self {
        Self::new(Style::Standard, trusted)
    }

    fn new(style: Style, trusted: TrustedNetworks) -> Self {
        let peer_from = |extensions: &Extensions| {
            let info = extensions.get::<ConnectInfo>();
            info.and_then(|info| info.client().ip())
        };
        Self {
            style,
            trusted,
            peer_from: Arc::new(peer_from),
        }
    }

    /// Finds the peer's address elsewhere in a request's extensions. Default: the listener's [`ConnectInfo`].
    ///
    /// A request whose peer is not known is from nobody trusted, and gets no [`ClientIp`].
    #[must_use]
    pub fn peer_from(
        mut self,
        peer_from: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.peer_from = Arc::new(peer_from);
        self
    }

    /// Who sent it, and takes away what is not to be believed.
    fn resolve(
        &self,
        headers: &mut HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<ClientIp>, Malformed> {
        let Some(peer) = peer.map(|peer| peer.to_canonical()) else {
            remove(headers, Style::X);
            remove(headers, Style::Standard);
            return Ok(None);
        };
        let client = if self.trusted.contains(peer) {
            match self.style {
                Style::Standard => self.standard(headers, peer)?,
                Style::X => {
                    headers.remove(X_REAL_IP);
                    self.x(headers, peer)
                }
            }
        } else {
            remove(headers, self.style);
            ClientIp {
                ip: peer,
                hops: 0,
                is_https: None,
                host: None,
            }
        };
        remove(
            headers,
            match self.style {
                Style::Standard => Style::X,
                Style::X => Style::Standard,
            },
        );
        Ok(Some(client))
    }

    fn standard(&self, headers: &HeaderMap, peer: IpAddr) -> Result<ClientIp, Malformed> {
        let mut elements = Vec::new();
        for value in headers.get_all(FORWARDED) {
            let parsed = value.to_str().ok().and_then(parser::parse);
            elements.extend(parsed.ok_or(Malformed)?);
        }
        // One without `for` says as much as `unknown`.
        let nodes = elements.iter().rev();
        let nodes = nodes.map(|element| element.client.as_deref().unwrap_or("unknown"));
        let (ip, hops) = walk(peer, &self.trusted, nodes);
        // What the proxy nearest to the client wrote is in the client's element.
        let own = elements.len().checked_sub(hops.max(1));
        let own = own.and_then(|at| elements.get(at));
        Ok(ClientIp {
            ip,
            hops,
            is_https: own.and_then(|element| scheme(element.proto.as_deref()?)),
            host: own.and_then(|element| element.host.clone()),
        })
    }

    fn x(&self, headers: &HeaderMap, peer: IpAddr) -> ClientIp {
        let (ip, hops) = walk(
            peer,
            &self.trusted,
            from_the_right(headers, &X_FORWARDED_FOR),
        );
        // Some proxies add to these, and most write them once: then the one there is, is the one nearest to the client.
        let of_the_client =
            |name: &HeaderName| from_the_right(headers, name).take(hops.max(1)).last();
        ClientIp {
            ip,
            hops,
            is_https: of_the_client(&X_FORWARDED_PROTO).and_then(scheme),
            host: of_the_client(&X_FORWARDED_HOST).map(ToOwned::to_owned),
        }
    }
}

/// The elements of a list, over all its fields, from the last. A field that is no text counts as one element that says nothing.
fn from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).iter().rev();
    let elements = values.flat_map(|value| value.to_str().unwrap_or("unknown").rsplit(','));
    elements
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

fn scheme(proto: &str) -> Option<bool> {
    if proto.eq_ignore_ascii_case("https") {
        Some(true)
    } else if proto.eq_ignore_ascii_case("http") {
        Some(false)
    } else {
        None
    }
}

fn remove(headers: &mut HeaderMap, style: Style) {
    match style {
        Style::Standard => {
            headers.remove(FORWARDED);
        }
        Style::X => {
            for name in [
                X_FORWARDED_FOR,
                X_FORWARDED_PROTO,
                X_FORWARDED_HOST,
                X_FORWARDED_PORT,
                X_FORWARDED_PREFIX,
                X_REAL_IP,
            ] {
                headers.remove(name);
            }
        }
    }
}

impl fmt::Debug for ForwardedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardedLayer")
            .field("style", &self.style)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ForwardedLayer {
    type Service = Forwarded<S>;

    fn layer(&self, inner: S) -> Forwarded<S> {
        Forwarded {
            inner,
            layer: self.clone(),
        }
    }
}

/// Finds the client's address, by what trusted proxies wrote. See the [module](super).
#[derive(Clone, Debug)]
pub struct Forwarded<S> {
    inner: S,
    layer: ForwardedLayer,
}

inner_accessors!(Forwarded<S>);

impl<S, B, RB> Service<Request<B>> for Forwarded<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let peer = (self.layer.peer_from)(request.extensions());
        match self.layer.resolve(request.headers_mut(), peer) {
            Ok(client) => {
                // One from further out is of another opinion, and it is this layer that was asked.
                request.extensions_mut().remove::<ClientIp>();
                if let Some(client) = client {
                    request.extensions_mut().insert(client);
                }
                ResponseFuture::inner(self.inner.call(request))
            }
            Err(Malformed) => {
                let detail = "the field Forwarded is malformed";
                ResponseFuture::answered(problem(StatusCode::BAD_REQUEST, detail))
            }
        }
    }
}
