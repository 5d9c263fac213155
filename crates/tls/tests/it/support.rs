//! Certificates made for a test, and two ends on a real socket.

use std::{
    error::Error as StdError,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use bartizan_core::{BoxError, find};
use bartizan_testing::ManualClock;
use bartizan_tls::{
    ClientTls, Error, Identity, ListenerTls, MaybeTls, Provider, TlsAcceptor, TlsConnectorLayer,
    TlsInfo, TlsStream, TrustAnchors,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, ServiceExt, service_fn};

/// When the tests take place: 2030-01-01. Certificates are valid for 30 days before and after.
const NOW: u64 = 1_893_456_000;

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(now())
}

/// So many days from [`now`].
pub(crate) fn day(offset: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(NOW).unwrap() + offset * 86_400).unwrap()
}

pub(crate) fn provider() -> Provider {
    Provider::aws_lc()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.not_before = day(-30);
    params.not_after = day(30);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// Somebody who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    /// A root, changed by `change`.
    pub(crate) fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::new(params, key, &certificate)
    }

    /// An authority below this one, changed by `change`.
    pub(crate) fn intermediate(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = Self::params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self::new(params, key, &certificate)
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn new(params: CertificateParams, key: KeyPair, certificate: &rcgen::Certificate) -> Self {
        Self {
            issuer: Issuer::new(params, key),
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
        }
    }

    /// A server's certificate for these names, changed by `change`.
    pub(crate) fn server(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        self.leaf(names, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            change(params);
        })
    }

    /// A client's certificate, changed by `change`.
    pub(crate) fn client(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        self.leaf(names, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            change(params);
        })
    }

    fn leaf(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut made = params("a leaf");
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        made.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        made.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut made);
        let key = KeyPair::generate().unwrap();
        let certificate = made.signed_by(&key, &self.issuer).unwrap();
        Leaf {
            pem: certificate.pem(),
            chain: vec![certificate.der().to_vec()],
            key,
        }
    }

    /// A server's certificate for a key of another kind.
    pub(crate) fn server_with_key(&self, names: &[&str], key: &KeyPair) -> Identity {
        let mut made = params("a leaf");
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        made.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        let certificate = made.signed_by(key, &self.issuer).unwrap();
        Identity::from_der(
            &provider(),
            [certificate.der().to_vec()],
            key.serialized_der(),
        )
        .unwrap()
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_der([self.der.clone()]).unwrap()
    }
}

/// A certificate with its key, and what is sent along with it.
pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: KeyPair,
}

impl Leaf {
    /// Sends the intermediate as well.
    pub(crate) fn with(mut self, intermediate: &Authority) -> Self {
        self.chain.push(intermediate.der.clone());
        self
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_der(&provider(), self.chain.clone(), self.key.serialized_der()).unwrap()
    }
}

/// One that signs itself, and is nobody's authority.
pub(crate) fn self_signed(name: &str) -> Leaf {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = day(-30);
    params.not_after = day(30);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Leaf {
        pem: certificate.pem(),
        chain: vec![certificate.der().to_vec()],
        key,
    }
}

pub(crate) fn client_tls(root: &Authority) -> ClientTls {
    ClientTls::new(provider(), root.anchors()).clock(clock())
}

pub(crate) fn listener_tls(leaf: &Leaf) -> ListenerTls {
    ListenerTls::new(provider())
        .identity(leaf.identity())
        .clock(clock())
}

pub(crate) fn connector(settings: ClientTls) -> TlsConnectorLayer {
    TlsConnectorLayer::try_new(settings).unwrap()
}

pub(crate) fn acceptor(settings: ListenerTls) -> TlsAcceptor {
    TlsAcceptor::try_new(settings).unwrap()
}

pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// Connects to `addr`, and asks for `name` there.
pub(crate) async fn connect(
    connector: &TlsConnectorLayer,
    addr: SocketAddr,
    name: &str,
) -> Result<MaybeTls<TcpStream>, BoxError> {
    let uri: http::Uri = if name.contains(':') {
        format!("https://[{name}]/").parse().unwrap()
    } else {
        format!("https://{name}/").parse().unwrap()
    };
    connector
        .layer(service_fn(move |_: http::Uri| TcpStream::connect(addr)))
        .oneshot(uri)
        .await
}

/// Asks for `a.test` over a pipe, where time that stands still stands still.
pub(crate) async fn connect_over(
    layer: TlsConnectorLayer,
    io: DuplexStream,
) -> Result<MaybeTls<DuplexStream>, BoxError> {
    let mut io = Some(io);
    layer
        .layer(service_fn(move |_: http::Uri| {
            std::future::ready(Ok::<_, std::io::Error>(io.take().expect("once")))
        }))
        .oneshot("https://a.test/".parse().unwrap())
        .await
}

/// What both ends came to.
pub(crate) struct Met {
    pub(crate) client: Result<TlsInfo, BoxError>,
    pub(crate) listener: Result<TlsInfo, Error>,
}

impl Met {
    /// What both ends know, if both are content.
    #[track_caller]
    pub(crate) fn both(self) -> (TlsInfo, TlsInfo) {
        match (self.client, self.listener) {
            (Ok(client), Ok(listener)) => (client, listener),
            (client, listener) => panic!("client: {client:?}, listener: {listener:?}"),
        }
    }

    /// Why the client refused.
    #[track_caller]
    pub(crate) fn client_error(&self) -> &Error {
        let error = self.client.as_ref().expect_err("the client is content");
        find(&**error).unwrap_or_else(|| panic!("not by us: {error:?}"))
    }

    #[track_caller]
    pub(crate) fn listener_error(&self) -> &Error {
        self.listener.as_ref().expect_err("the listener is content")
    }
}

/// One connection on a real socket. A byte goes each way, so that tickets and late alerts arrive.
pub(crate) async fn meet(connector: &TlsConnectorLayer, acceptor: &TlsAcceptor, name: &str) -> Met {
    let (socket, addr) = bind().await;
    let client = async {
        let mut stream = connect(connector, addr, name).await?;
        // A listener that has refused by now said why: the read tells.
        stream.write_all(b"?").await.ok();
        stream.flush().await.ok();
        stream.read_exact(&mut [0]).await?;
        let info = stream.tls_info().expect("TLS was asked for").clone();
        // The listener has to see the end, or it waits.
        stream.shutdown().await.ok();
        Ok(info)
    };
    let listener = async {
        let (io, _) = socket.accept().await.unwrap();
        let mut stream = acceptor.clone().call(io).await?;
        answer(&mut stream).await;
        Ok(stream.tls_info().clone())
    };
    let (client, listener) = tokio::join!(client, listener);
    Met { client, listener }
}

/// Answers the one byte of [`meet`]. The client may be gone already: it says why.
pub(crate) async fn answer(stream: &mut TlsStream<TcpStream>) {
    if stream.read_exact(&mut [0]).await.is_ok() {
        stream.write_all(b"!").await.ok();
        stream.shutdown().await.ok();
        // To its end, or the socket is reset and what was written is lost.
        tokio::io::copy(stream, &mut tokio::io::sink()).await.ok();
    }
}

/// PEM, as RFC 7468 has it.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines = base64.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

/// An error with all its sources, in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}
