//! Who sends the requests.

use std::{error::Error as StdError, future::Future, net::SocketAddr};

use bartizan_client::{
    Client as OurClient, Jar, Protocol, RequestExt, ResponseExt, Transport, stack,
};
use bartizan_core::Body;
use bytes::{Buf, Bytes};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    client::legacy::{Client as LegacyClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpStream, sync::Mutex};
use tower::{Service, ServiceExt};

use crate::load::{Asked, Load};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

pub(crate) const RAW: &str = "raw hyper";
pub(crate) const LEGACY: &str = "hyper-util's client";
pub(crate) const REQWEST: &str = "reqwest";
pub(crate) const TRANSPORT: &str = "bartizan's transport";
pub(crate) const FULL: &str = "bartizan's full client";

pub(crate) trait Client {
    /// One request, and its whole response: the length of that.
    fn call(&self, worker: usize, asked: &Asked) -> impl Future<Output = Result<usize, BoxError>>;
}

/// Reads a body as it comes.
async fn read<B>(mut body: B) -> Result<usize, BoxError>
where
    B: http_body::Body<Error: Into<BoxError>> + Unpin,
{
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Into::into)?;
        length += frame.data_ref().map_or(0, Buf::remaining);
    }
    Ok(length)
}

fn request<B: From<Bytes>>(asked: &Asked) -> Request<B> {
    let mut request = Request::new(B::from(asked.upload.clone()));
    *request.method_mut() = method(asked);
    *request.uri_mut() = asked.uri.clone();
    request
}

fn method(asked: &Asked) -> Method {
    match asked.load {
        Load::Small | Load::Download => Method::GET,
        Load::Upload => Method::POST,
    }
}

/// hyper's connections and nothing around them: one per task for HTTP/1.1, one for all for HTTP/2.
pub(crate) enum Raw {
    Http1(Vec<Mutex<http1::SendRequest<Full<Bytes>>>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Raw {
    pub(crate) async fn connect(
        protocol: Protocol,
        uri: &Uri,
        in_flight: usize,
    ) -> Result<Self, BoxError> {
        let addr: SocketAddr = uri.authority().ok_or("an absolute URI")?.as_str().parse()?;
        let stream = || async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok::<_, BoxError>(TokioIo::new(stream))
        };
        if matches!(protocol, Protocol::Http2) {
            let io = stream().await?;
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            return Ok(Self::Http2(sender));
        }
        let mut senders = Vec::new();
        for _ in 0..in_flight {
            let (sender, connection) = http1::handshake(stream().await?).await?;
            tokio::spawn(connection);
            senders.push(Mutex::new(sender));
        }
        Ok(Self::Http1(senders))
    }
}

impl Client for Raw {
    async fn call(&self, worker: usize, asked: &Asked) -> Result<usize, BoxError> {
        let response: Response<Incoming> = match self {
            Self::Http1(senders) => {
                let host = asked.uri.authority().ok_or("an absolute URI")?.as_str();
                let request = Request::builder()
                    .method(method(asked))
                    .uri(asked.uri.path())
                    .header("host", host)
                    .body(Full::new(asked.upload.clone()))?;
                let mut sender = senders[worker].lock().await;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => sender.clone().send_request(request(asked)).await?,
        };
        read(response.into_body()).await
    }
}

pub(crate) struct Legacy(LegacyClient<HttpConnector, Full<Bytes>>);

impl Legacy {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let is_http2 = matches!(protocol, Protocol::Http2);
        let mut builder = LegacyClient::builder(TokioExecutor::new());
        Self(builder.http2_only(is_http2).build(connector))
    }
}

impl Client for Legacy {
    async fn call(&self, _: usize, asked: &Asked) -> Result<usize, BoxError> {
        read(self.0.request(request(asked)).await?.into_body()).await
    }
}

/// With cookies, decompression, a user agent and a time limit. Redirects it follows by default.
pub(crate) struct Reqwest(reqwest::Client);

impl Reqwest {
    pub(crate) fn new(protocol: Protocol) -> Result<Self, BoxError> {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .cookie_store(true)
            .user_agent("reqwest")
            .timeout(std::time::Duration::from_secs(30));
        let builder = match protocol {
            Protocol::Http2 => builder.http2_prior_knowledge(),
            _ => builder.http1_only(),
        };
        Ok(Self(builder.build()?))
    }
}

impl Client for Reqwest {
    async fn call(&self, _: usize, asked: &Asked) -> Result<usize, BoxError> {
        let mut request = self.0.request(method(asked), asked.url.clone());
        if asked.load == Load::Upload {
            request = request.body(asked.upload.clone());
        }
        let mut response = request.send().await?;
        if asked.load != Load::Download {
            return Ok(response.bytes().await?.len());
        }
        let mut length = 0;
        while let Some(chunk) = response.chunk().await? {
            length += chunk.len();
        }
        Ok(length)
    }
}

pub(crate) struct OurTransport(pub(crate) Transport);

impl OurTransport {
    pub(crate) fn new(protocol: Protocol) -> Result<Self, BoxError> {
        Ok(Self(Transport::builder().protocol(protocol).build()?))
    }
}

impl Client for OurTransport {
    async fn call(&self, _: usize, asked: &Asked) -> Result<usize, BoxError> {
        let mut transport = self.0.clone();
        let transport = ServiceExt::<Request<Body>>::ready(&mut transport).await?;
        read(transport.call(request::<Body>(asked)).await?.into_body()).await
    }
}

/// The stack that is ready made: redirects, cookies, decompression, limits, headers by default and a time limit.
pub(crate) struct OurFull(OurClient);

impl OurFull {
    pub(crate) fn new(protocol: Protocol) -> Result<Self, BoxError> {
        let OurTransport(transport) = OurTransport::new(protocol)?;
        Ok(Self(stack::full(transport, Jar::new())))
    }
}

impl Client for OurFull {
    async fn call(&self, _: usize, asked: &Asked) -> Result<usize, BoxError> {
        let request = match asked.load {
            Load::Small | Load::Download => self.0.get(asked.uri.clone()),
            Load::Upload => self.0.post(asked.uri.clone()).body(asked.upload.clone()),
        };
        let response = request.send().await?;
        if asked.load == Load::Download {
            return read(response.into_body()).await;
        }
        Ok(response.bytes().await?.len())
    }
}
