//! A path from a peer's certificate to a trust anchor, verified.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls_pki_types::CertificateDer;

use crate::revocation::Subject;

/// A peer's certificates in the order in which each is signed by the next, up to and without the trust anchor.
///
/// It exists only verified: signatures, validity, names, constraints and usages hold. What it says nothing about is revocation.
#[derive(Clone)]
pub struct Chain {
    links: Arc<[Link]>,
}

/// One certificate of a [`Chain`], and who issued it.
pub struct Link {
    certificate: CertificateDer<'static>,
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    /// What revocation wants to know of it: read when it is first asked, and not again for any connection over this path.
    subject: OnceLock<Result<Subject, der::Error>>,
}

impl Chain {
    /// The certificates, the peer's own first. Never empty.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) fn new(links: Vec<Link>) -> Self {
        debug_assert!(!links.is_empty(), "a chain has a leaf");
        Self {
            links: links.into(),
        }
    }
}

impl Link {
    pub(crate) fn new(
        certificate: CertificateDer<'static>,
        issuer_name: Vec<u8>,
        issuer_key: Vec<u8>,
    ) -> Self {
        Self {
            certificate,
            issuer_name,
            issuer_key,
            subject: OnceLock::new(),
        }
    }

    pub(crate) fn subject(&self) -> Result<&Subject, &der::Error> {
        self.subject.get_or_init(|| Subject::parse(self)).as_ref()
    }

    /// The certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The issuer's name: a DER `Name` (RFC 5280 section 4.1.2.4), with its outer SEQUENCE.
    pub fn issuer_name(&self) -> &[u8] {
        &self.issuer_name
    }

    /// The issuer's key, by which the signature on this certificate was verified: a DER `SubjectPublicKeyInfo` (RFC 5280 section
    /// 4.1.2.7), with its outer SEQUENCE.
    pub fn issuer_key(&self) -> &[u8] {
        &self.issuer_key
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.links).finish()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("certificate_len", &self.certificate.len())
            .finish_non_exhaustive()
    }
}
