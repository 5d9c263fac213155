//! What a handshake came to.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::{PeerName, TlsVersion, provider::suite_name, revocation::Verdict, x509::Certificate};

/// What a TLS connection is like, and who is at the other end.
///
/// Cheap to clone, and made to travel in the extensions of requests and responses. What is in it was verified, unless
/// [`verification`](Self::verification) says otherwise.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// use bartizan_tls::{PeerName, TlsInfo};
/// use http::Request;
///
/// /// The workload that a request comes from, by its certificate.
/// fn workload<B>(request: &Request<B>) -> Option<&str> {
///     let info = request.extensions().get::<TlsInfo>()?;
///     info.peer_names().iter().find_map(|name| match name {
///         PeerName::Uri(uri) => uri.strip_prefix("spiffe://prod.test/"),
///         _ => None,
///     })
/// }
///
/// assert_eq!(workload(&Request::new(())), None);
/// # }
/// ```
#[derive(Clone)]
pub struct TlsInfo(Arc<Inner>);

struct Inner {
    version: TlsVersion,
    suite: &'static str,
    group: Option<&'static str>,
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
    resumed: bool,
    verification: Verification,
    revocation: Verdict,
    peer: Vec<CertificateDer<'static>>,
    /// Most applications look at none of them.
    names: OnceLock<Vec<PeerName>>,
}

/// What was verified of a peer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// All of it: the path to a trust anchor and, of a server, the name.
    Full,
    /// The path, and not the name: see [`dangerous`](crate::dangerous).
    PathOnly,
    /// Nothing but that the peer has the key: see [`dangerous`](crate::dangerous).
    Nothing,
    /// There was no certificate to verify: a client without one, at a listener that does not require it.
    NoCertificate,
}

impl TlsInfo {
    pub(crate) fn new(
        connection: &CommonState,
        server_name: Option<String>,
        verification: Verification,
        revocation: Verdict,
    ) -> Self {
        Self(Arc::new(Inner {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
                _ => TlsVersion::V1_2,
            },
            suite: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite_name(suite.suite()))
                .unwrap_or("unknown"),
            group: connection
                .negotiated_key_exchange_group()
                .and_then(|group| group.name().as_str()),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            verification,
            revocation,
            peer: connection
                .peer_certificates()
                .map(<[_]>::to_vec)
                .unwrap_or_default(),
            names: OnceLock::new(),
        }))
    }

    /// The version of TLS.
    pub fn version(&self) -> TlsVersion {
        self.0.version
    }

    /// The cipher suite, by its name in IANA's registry.
    pub fn suite(&self) -> &'static str {
        self.0.suite
    }

    /// The key exchange group, such as `X25519MLKEM768`. `None` if there was no key exchange, in a resumed TLS 1.2 session.
    pub fn group(&self) -> Option<&'static str> {
        self.0.group
    }

    /// The application protocol (ALPN, RFC 7301) that was agreed on, such as `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// At a listener, the name the client asked for (SNI, RFC 6066 section 3). At a client, the name the certificate was verified
    /// for, which for an IP address is not sent.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// Whether an earlier session was resumed. The certificates are those of the earlier session then; their validity and
    /// revocation were looked at again.
    pub fn is_resumed(&self) -> bool {
        self.0.resumed
    }

    /// What was verified of the peer's certificate.
    pub fn verification(&self) -> Verification {
        self.0.verification
    }

    /// What is known about revocation.
    pub fn revocation(&self) -> &Verdict {
        &self.0.revocation
    }

    /// The peer's own certificate, in DER.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.peer_chain().next()
    }

    /// The certificates as the peer sent them, in DER, its own first.
    pub fn peer_chain(&self) -> impl Iterator<Item = &[u8]> {
        self.0.peer.iter().map(|certificate| &**certificate)
    }

    /// The names in the subject alternative name extension of the peer's certificate. The subject's common name is not among them:
    /// nobody is known by it (RFC 9525 section 2). Read when it is first asked for.
    pub fn peer_names(&self) -> &[PeerName] {
        self.0.names.get_or_init(|| {
            self.peer_certificate()
                .and_then(|certificate| Some(Certificate::parse(certificate).ok()?.names()))
                .unwrap_or_default()
        })
    }

    /// The SHA-256 of the peer's certificate in DER, as `openssl x509 -fingerprint -sha256` shows it.
    pub fn peer_fingerprint(&self) -> Option<[u8; 32]> {
        Some(Sha256::digest(self.peer_certificate()?).into())
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.0.version)
            .field("suite", &self.0.suite)
            .field("group", &self.0.group)
            .field("alpn", &self.0.alpn.as_deref().map(String::from_utf8_lossy))
            .field("server_name", &self.0.server_name)
            .field("resumed", &self.0.resumed)
            .field("verification", &self.0.verification)
            .field("revocation", &self.0.revocation)
            .field("peer_names", &self.peer_names())
            .finish_non_exhaustive()
    }
}
