//! A listener's view of its clients.

use std::{fmt, sync::Arc};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{verify_tls12_signature, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Paths, other};
use crate::{revocation::Engine, x509::system_time};

/// Nobody is asked for a certificate.
pub(crate) use rustls::server::NoClientAuth as NoClientCertificate;

/// The path, and what is known of revocation.
pub(crate) struct ClientVerifier {
    pub(crate) paths: Arc<Paths>,
    pub(crate) mandatory: bool,
    /// The names of the roots, so that a client can choose among its certificates.
    pub(crate) hints: Vec<DistinguishedName>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
}

impl ClientVerifier {
    pub(crate) fn new(paths: Arc<Paths>, mandatory: bool, engine: Option<Arc<dyn Engine>>) -> Self {
        Self {
            hints: paths.anchors().subjects(),
            paths,
            mandatory,
            engine,
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let path = self.paths.verify(leaf, intermediates, now)?;
        if let Some(engine) = &self.engine {
            engine
                .in_handshake(&path.chain, &[], system_time(now))
                .map_err(other)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, self.paths.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, self.paths.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.paths.algorithms().supported_schemes()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").finish_non_exhaustive()
    }
}
