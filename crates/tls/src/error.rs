//! The one error of both ends.

use std::{borrow::Cow, error, fmt, io, sync::Arc};

use bartizan_core::BoxError;
use rustls::{CertificateError, OtherError};
use rustls_pki_types::pem;

use crate::{revocation::Refusal, verify::UsageError};

/// Why there is no TLS connection, or no key or certificate to make one with: at which stage, for whom, and what to do.
///
/// The message names them; the cause is in [`source`](error::Error::source), and its text is not repeated.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// use bartizan_tls::{Identity, Provider, Stage};
///
/// let error = Identity::from_pem(&Provider::aws_lc(), b"", b"").unwrap_err();
/// assert_eq!(error.stage(), Stage::Load);
/// assert!(!error.is_retryable());
/// assert_eq!(error.to_string(), "loading an identity: there is no CERTIFICATE section in the PEM of the chain");
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    stage: Stage,
    kind: Kind,
    peer: Option<String>,
    message: Cow<'static, str>,
    source: Option<Source>,
}

enum Source {
    Boxed(BoxError),
    /// rustls carries errors of verifiers like this.
    Shared(Arc<dyn error::Error + Send + Sync>),
}

/// What was under way when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// A key, a certificate or a set of trust anchors was read.
    Load,
    /// The name of the peer to connect to was looked at.
    Name,
    /// The listener waited for the first message of its peer, and read it.
    Hello,
    /// The two ends agreed on versions, suites and keys.
    Handshake,
    /// The peer's certificate was verified.
    Verify,
    /// It was asked whether the peer's certificate had been revoked.
    Revocation,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Name => "name",
            Self::Hello => "hello",
            Self::Handshake => "handshake",
            Self::Verify => "verify",
            Self::Revocation => "revocation",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The same input fails again.
    Input,
    TimedOut,
    /// The connection broke.
    Io,
    /// The peer said so, with this alert.
    Alert(u8),
    /// The two ends have nothing in common, or the peer does not keep to the protocol.
    Protocol,
    Certificate,
    Revoked,
    /// Whether it is revoked is not known, and has to be.
    Unavailable,
    /// A CA has seen what it came for.
    #[cfg(feature = "acme")]
    Challenge,
}

impl Error {
    pub(crate) fn new(stage: Stage, kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            stage,
            kind,
            peer: None,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn load(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Stage::Load, Kind::Input, message)
    }

    pub(crate) fn timed_out(stage: Stage, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(stage, Kind::TimedOut, message)
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(Source::Boxed(source.into()));
        self
    }

    /// Says whom it was about.
    pub(crate) fn with_peer(mut self, peer: Option<impl Into<String>>) -> Self {
        self.0.peer = peer.map(Into::into);
        self
    }

    /// The error of a handshake, as rustls and tokio-rustls tell it.
    pub(crate) fn of_handshake(error: io::Error, stage: Stage) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => Self::of_rustls(error, stage),
            Err(error) => {
                let message = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "the peer closed the connection",
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                        "the peer reset the connection"
                    }
                    _ => "the connection failed",
                };
                Self::new(stage, Kind::Io, message).with_source(error)
            }
        }
    }

    pub(crate) fn of_rustls(error: rustls::Error, stage: Stage) -> Self {
        use rustls::Error as E;
        let (stage, kind, message) = match &error {
            E::InvalidCertificate(CertificateError::Other(OtherError(shared))) => {
                return Self::of_verifier(Arc::clone(shared));
            }
            E::InvalidCertificate(error) => (Stage::Verify, Kind::Certificate, advice(error)),
            E::NoCertificatesPresented => (
                Stage::Verify,
                Kind::Certificate,
                "the peer sent no certificate, and has to",
            ),
            E::AlertReceived(alert) => {
                let alert = u8::from(*alert);
                (stage, Kind::Alert(alert), alert_advice(alert))
            }
            E::NoApplicationProtocol => (
                stage,
                Kind::Protocol,
                "no application protocol (ALPN) in common with the peer; compare what both ends offer",
            ),
            E::InvalidMessage(_) => (
                stage,
                Kind::Protocol,
                "what the peer sent is no TLS; check that it is not plain HTTP",
            ),
            E::PeerIncompatible(_) => (
                stage,
                Kind::Protocol,
                "no TLS version, cipher suite or signature in common with the peer; compare what both ends offer",
            ),
            _ => (stage, Kind::Protocol, "the handshake failed"),
        };
        Self::new(stage, kind, message).with_source(error)
    }

    /// Our own verifiers' error, which rustls has carried.
    fn of_verifier(shared: Arc<dyn error::Error + Send + Sync>) -> Self {
        let mut error = if let Some(refusal) = shared.downcast_ref::<Refusal>() {
            Self::of_refusal(refusal)
        } else {
            let message = if shared.is::<UsageError>() {
                "a certificate of the peer may not be used for this"
            } else {
                "the peer's certificate is refused"
            };
            Self::new(Stage::Verify, Kind::Certificate, message)
        };
        error.0.source = Some(Source::Shared(shared));
        error
    }

    /// A refusal by the engine, without its source.
    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        let (kind, message) = if refusal.is_revoked() {
            (Kind::Revoked, "a certificate of the peer is revoked")
        } else if refusal.is_must_staple() {
            (
                Kind::Unavailable,
                "the peer's certificate demands an OCSP staple, and the peer sent none that counts",
            )
        } else {
            (
                Kind::Unavailable,
                "it is not known whether the peer's certificate is revoked, and has to be",
            )
        };
        Self::new(Stage::Revocation, kind, message)
    }

    #[cfg(feature = "acme")]
    pub(crate) fn acme_challenge() -> Self {
        Self::new(
            Stage::Handshake,
            Kind::Challenge,
            "a CA validated a challenge (acme-tls/1), and got its answer; there is nothing to serve",
        )
    }

    /// Whether it is none, but the connection of a CA that validated a challenge and got its answer
    /// ([`ListenerTls::acme`](crate::ListenerTls::acme)).
    #[cfg(feature = "acme")]
    pub fn is_acme_challenge(&self) -> bool {
        self.0.kind == Kind::Challenge
    }

    /// What was under way.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// Whom it was about: the name that a client wanted to reach, or the one that a client asked a listener for.
    pub fn peer(&self) -> Option<&str> {
        self.0.peer.as_deref()
    }

    /// Whether time ran out: that for the whole handshake. [`stage`](Self::stage) says where it went.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::TimedOut
    }

    /// Whether the peer's certificate is at fault: missing, not valid, not trusted, for another name, or revoked.
    pub fn is_certificate(&self) -> bool {
        matches!(self.0.kind, Kind::Certificate | Kind::Revoked)
    }

    /// Whether a certificate of the peer is known to be revoked.
    pub fn is_revoked(&self) -> bool {
        self.0.kind == Kind::Revoked
    }

    /// Whether another try, or one at another address, may well succeed: time ran out, the connection broke, nobody could be asked
    /// about revocation, or a staple that was promised was not there.
    ///
    /// What a certificate says, what an alert says, and what the two ends have in common does not change by asking again. Nothing of
    /// a request was sent in any case.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, Kind::TimedOut | Kind::Io | Kind::Unavailable)
    }

    /// The alert by which the peer refused, by its number in IANA's registry (RFC 8446 section 6).
    pub fn alert(&self) -> Option<u8> {
        match self.0.kind {
            Kind::Alert(alert) => Some(alert),
            _ => None,
        }
    }
}

/// What to do about it.
fn advice(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => {
            "a certificate of the peer has expired; renew it, or check the clock"
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "a certificate of the peer is not valid yet; check the clock"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the peer's certificate is for another name; check the address"
        }
        E::UnknownIssuer => {
            "the peer's certificate leads to no trust anchor; trust its root, or have the peer send the intermediates"
        }
        E::BadSignature => "a signature on the peer's certificates is not by their issuer",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the peer's certificate is for another purpose (extended key usage)"
        }
        E::UnhandledCriticalExtension => {
            "a certificate of the peer has a critical extension that is not known"
        }
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "a certificate of the peer is signed by an algorithm that is not accepted, such as SHA-1"
        }
        _ => "the peer's certificate is refused",
    }
}

/// The alerts whose cause is most often on our side.
const fn alert_advice(alert: u8) -> &'static str {
    match alert {
        40 => "the peer refused the handshake; compare the versions and cipher suites of both ends",
        42..=46 | 48 => "the peer refused our certificate",
        49 => "the peer refused us; it may have no certificate for the name we asked for",
        70 => "the peer does not speak the versions of TLS that we offer",
        112 => "the peer does not know the name we asked for",
        116 => "the peer requires a client certificate; give the client an identity",
        120 => "the peer speaks none of the application protocols (ALPN) that we offer",
        _ => "the peer refused the handshake",
    }
}

/// What is wrong with a PEM text. Not the error itself: it quotes the line, and in a file without line ends that is the key.
pub(crate) fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is no such section",
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a section is none",
        pem::Error::Base64Decode(_) => "a section is not in base64",
        _ => "it is no PEM",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(peer) = &self.0.peer {
            write!(f, "TLS with `{peer}`: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("stage", &self.0.stage)
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("source", &error::Error::source(self))
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self.0.source.as_ref()? {
            Source::Boxed(source) => Some(&**source),
            Source::Shared(source) => Some(&**source),
        }
    }
}
