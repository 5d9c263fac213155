//! Whom one end trusts.

use std::{fmt, fs, path::Path, sync::Arc};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::{Error, error::pem_fault};

/// The roots that a peer's certificate may lead to.
///
/// Sets are [joined](Self::and): a company's own root beside those of the platform, or alone. There is no default set, because
/// whom to trust is the one thing that only the user knows.
///
/// ```
/// # let made = rcgen::generate_simple_self_signed(["root.test".to_owned()]).unwrap();
/// # let company_root_pem = made.cert.pem();
/// use bartizan_tls::TrustAnchors;
///
/// let company = TrustAnchors::from_pem(company_root_pem.as_bytes()).unwrap();
/// assert_eq!(company.len(), 1);
///
/// # #[cfg(feature = "webpki-roots")] {
/// let both = TrustAnchors::mozilla().and(company);
/// assert!(both.len() > 100);
/// # }
/// assert!(TrustAnchors::from_pem(b"").unwrap_err().to_string().starts_with("loading trust anchors: "));
/// ```
#[derive(Clone)]
pub struct TrustAnchors {
    anchors: Vec<TrustAnchor<'static>>,
}

impl TrustAnchors {
    /// The roots of the platform: those of the operating system's store, or of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name. It reads them now, and blocks on a disk: once at start is the time for it.
    ///
    /// Roots that cannot be read are passed over, as every store has some; a `tracing` event at debug level counts them.
    ///
    /// # Errors
    ///
    /// If there is not one that can be used. A container without its CA certificates is the usual cause.
    #[cfg(feature = "platform-roots")]
    pub fn platform() -> Result<Self, Error> {
        let loaded = rustls_native_certs::load_native_certs();
        let found = loaded.certs.len();
        let anchors = loaded
            .certs
            .iter()
            .filter_map(|root| anchor(root).ok())
            .collect::<Vec<_>>();
        let unusable = found - anchors.len() + loaded.errors.len();
        if unusable > 0 {
            tracing::debug!(
                unusable,
                usable = anchors.len(),
                "platform roots were passed over"
            );
        }
        if anchors.is_empty() {
            let error = failed(
                "the platform has no root that can be used; install its CA certificates, such as the package ca-certificates",
            );
            return Err(match loaded.errors.into_iter().next() {
                Some(source) => error.with_source(source),
                None => error,
            });
        }
        Ok(Self { anchors })
    }

    /// The roots of Mozilla's program, compiled in. They are as old as the build is.
    #[cfg(feature = "webpki-roots")]
    pub fn mozilla() -> Self {
        Self {
            anchors: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        }
    }

    /// Every `CERTIFICATE` section of a PEM text.
    ///
    /// # Errors
    ///
    /// If there is none, or one that cannot be read: a root that is silently left out is found only by the peer that needs it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed("the PEM cannot be read").with_source(pem_fault(&error)))?;
        Self::from_certificates(&roots)
    }

    /// Reads a PEM file, as [`from_pem`](Self::from_pem) does. It blocks, on a disk.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, and as `from_pem`.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let pem = fs::read(path).map_err(|error| {
            failed(&format!("`{}` cannot be read", path.display())).with_source(error)
        })?;
        Self::from_pem(&pem)
    }

    /// Root certificates in DER.
    ///
    /// # Errors
    ///
    /// If there is none, or one that cannot be read.
    pub fn from_der<C>(roots: impl IntoIterator<Item = C>) -> Result<Self, Error>
    where
        C: Into<Vec<u8>>,
    {
        let roots = roots
            .into_iter()
            .map(|root| CertificateDer::from(root.into()))
            .collect::<Vec<_>>();
        Self::from_certificates(&roots)
    }

    fn from_certificates(roots: &[CertificateDer<'_>]) -> Result<Self, Error> {
        if roots.is_empty() {
            return Err(failed("there is no certificate in what was given"));
        }
        let anchors = roots
            .iter()
            .enumerate()
            .map(|(index, root)| {
                anchor(root).map_err(|error| {
                    failed(&format!("certificate {} cannot be read", index + 1)).with_source(error)
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { anchors })
    }

    /// These, and those of `other` as well.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.anchors.extend(other.anchors);
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Never: every constructor fails instead.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// What the set is told apart by from every other: whatever the order in which it was put together.
    pub(crate) fn digest(&self, context: &[u8]) -> [u8; 32] {
        let mut roots = self
            .anchors
            .iter()
            .map(|root| {
                let constraints = root.name_constraints.as_deref().unwrap_or_default();
                let mut hash = Sha256::new();
                for part in [&root.subject, &root.subject_public_key_info, constraints] {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
                <[u8; 32]>::from(hash.finalize())
            })
            .collect::<Vec<_>>();
        roots.sort_unstable();
        roots.dedup();
        let mut hash = Sha256::new();
        hash.update(roots.as_flattened());
        hash.update(context);
        hash.finalize().into()
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::new(RootCertStore {
            roots: self.anchors.clone(),
        })
    }
}

fn anchor(root: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, webpki::Error> {
    webpki::anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned())
}

fn failed(message: &str) -> Error {
    Error::load(format!("loading trust anchors: {message}"))
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustAnchors")
            .field("len", &self.anchors.len())
            .finish_non_exhaustive()
    }
}
