//! The path from a peer's certificate to a trust anchor, and the rules it has to keep.
//!
//! webpki builds and verifies the path. It looks at no key usage, so we do: a leaf has to be allowed to sign, and an intermediate to
//! sign certificates (RFC 5280 sections 4.2.1.3 and 6.1.4). And rustls verifies nothing when a session is resumed, so what was
//! verified is remembered here, and looked up, or verified anew, after every handshake. A peer that comes back for a full one costs no
//! signature but its own: a path that held is a path that holds, until one of its certificates ends.

mod cache;
mod client;
mod server;

use std::{cell::Cell, error, fmt, sync::Arc, time::SystemTime};

use rustls::{
    CertificateError, Error as TlsError, ExtendedKeyPurpose, OtherError, RootCertStore,
    crypto::WebPkiSupportedAlgorithms,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use self::cache::Cache;
pub(crate) use self::{
    client::{ClientVerifier, NoClientCertificate},
    server::{NoVerification, ServerVerifier},
};
use crate::{
    chain::{Chain, Link},
    x509::{Certificate, Usage, sequence, system_time},
};

/// Which end the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// Verifies the paths of all peers of one profile, and remembers those that hold.
#[derive(Debug)]
pub(crate) struct Paths {
    anchors: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    role: Role,
    verified: Cache<Arc<Verified>>,
}

/// A path that holds, and for how long.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) chain: Chain,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Paths {
    pub(crate) fn new(
        anchors: Arc<RootCertStore>,
        algorithms: WebPkiSupportedAlgorithms,
        role: Role,
    ) -> Self {
        Self {
            anchors,
            algorithms,
            role,
            verified: Cache::new(),
        }
    }

    pub(crate) const fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    pub(crate) fn anchors(&self) -> &RootCertStore {
        &self.anchors
    }

    /// The path of a peer: one that was verified before and is still valid, or one that is verified now.
    ///
    /// Nothing that verifying depends on can have changed since but the time: the anchors and the algorithms are those of this profile,
    /// and a reload makes another.
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Arc<Verified>, TlsError> {
        if let Some(path) = self.verified.get(leaf, intermediates) {
            if (path.not_before..=path.not_after).contains(&system_time(now)) {
                return Ok(path);
            }
        }
        let verified = Arc::new(self.verify_anew(leaf, intermediates, now)?);
        self.verified.put(leaf, intermediates, &verified);
        Ok(verified)
    }

    fn verify_anew(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Verified, TlsError> {
        let certificate = EndEntityCert::try_from(leaf).map_err(tls_error)?;
        check_usage(leaf, Usage::DigitalSignature, 0)?;

        // webpki may find another path when one is refused; what it says in the end need not be why ours was.
        let refused = Cell::new(None);
        let allowed_to_sign = |path: &VerifiedPath<'_>| {
            for (index, issuer) in path.intermediate_certificates().enumerate() {
                if let Err(error) = check_usage(&issuer.der(), Usage::KeyCertSign, index + 1) {
                    refused.set(Some(error));
                    return Err(webpki::Error::UnknownIssuer);
                }
            }
            Ok(())
        };
        let usage = match self.role {
            Role::Server => KeyUsage::server_auth(),
            Role::Client => KeyUsage::client_auth(),
        };
        let path = certificate
            .verify_for_usage(
                self.algorithms.all,
                &self.anchors.roots,
                intermediates,
                now,
                usage,
                None,
                Some(&allowed_to_sign),
            )
            .map_err(|error| refused.take().unwrap_or_else(|| tls_error(error)))?;
        Verified::new(leaf, &path).map_err(|_| CertificateError::BadEncoding.into())
    }
}

impl Verified {
    fn new(leaf: &CertificateDer<'_>, path: &VerifiedPath<'_>) -> Result<Self, der::Error> {
        let (mut not_before, mut not_after) = validity(leaf)?;
        let mut links = Vec::new();
        let mut below = leaf.clone().into_owned();
        for issuer in path.intermediate_certificates() {
            let certificate = issuer.der();
            let (from, until) = validity(&certificate)?;
            not_before = not_before.max(from);
            not_after = not_after.min(until);
            links.push(Link::new(
                below,
                sequence(issuer.subject())?,
                issuer.subject_public_key_info().to_vec(),
            ));
            below = certificate.into_owned();
        }
        let anchor = path.anchor();
        links.push(Link::new(
            below,
            sequence(&anchor.subject)?,
            sequence(&anchor.subject_public_key_info)?,
        ));
        Ok(Self {
            chain: Chain::new(links),
            not_before,
            not_after,
        })
    }
}

fn validity(certificate: &[u8]) -> Result<(SystemTime, SystemTime), der::Error> {
    let certificate = Certificate::parse(certificate)?;
    Ok((certificate.not_before, certificate.not_after))
}

/// A certificate is used as its key usage extension does not allow (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageError {
    usage: Usage,
    /// 0 is the leaf.
    index: usize,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = self.usage.name();
        match self.index {
            0 => write!(f, "the leaf's key usage lacks {usage}"),
            index => write!(f, "intermediate {index}'s key usage lacks {usage}"),
        }
    }
}

impl error::Error for UsageError {}

fn check_usage(certificate: &[u8], usage: Usage, index: usize) -> Result<(), TlsError> {
    match Certificate::parse(certificate).and_then(|certificate| certificate.allows(usage)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(other(UsageError { usage, index })),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// An error of ours, as rustls carries it.
pub(crate) fn other(error: impl error::Error + Send + Sync + 'static) -> TlsError {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// The error of rustls for one of webpki, because it decides which alert the peer gets.
pub(crate) fn tls_error(error: webpki::Error) -> TlsError {
    use webpki::Error as E;
    match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::InvalidCertValidity => CertificateError::Expired,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::CertNotValidForName(names) => CertificateError::NotValidForNameContext {
            expected: names.expected,
            presented: names.presented,
        },
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::UnsupportedSignatureAlgorithmContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: context.signature_algorithm_id,
                supported_algorithms: context.supported_algorithms,
            }
        }
        E::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: context.signature_algorithm_id,
                public_key_algorithm_id: context.public_key_algorithm_id,
            }
        }
        E::UnsupportedCriticalExtension => CertificateError::UnhandledCriticalExtension,
        E::RequiredEkuNotFoundContext(context) => CertificateError::InvalidPurposeContext {
            required: purpose(context.required.oid_values()),
            presented: context
                .present
                .into_iter()
                .map(|oid| purpose(oid.into_iter()))
                .collect(),
        },
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
    .into()
}

fn purpose(oid: impl Iterator<Item = usize>) -> ExtendedKeyPurpose {
    let oid = oid.collect::<Vec<_>>();
    match oid.as_slice() {
        KeyUsage::SERVER_AUTH_REPR => ExtendedKeyPurpose::ServerAuth,
        KeyUsage::CLIENT_AUTH_REPR => ExtendedKeyPurpose::ClientAuth,
        _ => ExtendedKeyPurpose::Other(oid),
    }
}
