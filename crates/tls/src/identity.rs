//! Who one end is: a chain of certificates, and the key of the first.

use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{InconsistentKeys, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use webpki::EndEntityCert;

use crate::{Error, Provider, error::pem_fault, x509::Certificate};

/// A certificate chain and its private key, checked to belong together.
///
/// Its clones are one and the same. The key is read once and kept by the [`Provider`] it was read with; nothing here shows it.
///
/// The chain starts with the certificate of the key, and goes on with the intermediates, in order. The root is left out: a peer
/// that does not have it does not trust it either.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// # let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
/// use bartizan_tls::{Identity, Provider};
///
/// let provider = Provider::aws_lc();
/// let identity = Identity::from_pem(&provider, chain_pem.as_bytes(), key_pem.as_bytes()).unwrap();
/// assert!(identity.covers("shop.test") && !identity.covers("bank.test"));
///
/// // A key that is not the certificate's is found out here, and not by the first peer.
/// let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
/// let error = Identity::from_pem(&provider, chain_pem.as_bytes(), other_key.as_bytes()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "loading an identity: the key is not that of the first certificate; put the leaf first, and its own key beside it"
/// );
/// # }
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    /// Replaced as a whole when the staple changes.
    current: RwLock<Arc<CertifiedKey>>,
    must_staple: bool,
    not_after: SystemTime,
}

impl Identity {
    /// Reads PEM: the `CERTIFICATE` sections of `chain`, and the first private key (PKCS #8, PKCS #1 or SEC 1) in `key`. One text
    /// with both may be given twice.
    ///
    /// # Errors
    ///
    /// If there is no certificate or no key, if one cannot be read, or if they do not belong together. An encrypted key cannot be
    /// read.
    pub fn from_pem(provider: &Provider, chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                failed("the PEM of the chain cannot be read").with_source(pem_fault(&error))
            })?;
        if chain.is_empty() {
            return Err(failed(
                "there is no CERTIFICATE section in the PEM of the chain",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            failed(
                "there is no key in its PEM that can be read; an encrypted one has to be decrypted first",
            )
            .with_source(pem_fault(&error))
        })?;
        Self::new(provider, chain, key)
    }

    /// Reads PEM files, as [`from_pem`](Self::from_pem) does. It blocks, on a disk.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, and as `from_pem`.
    pub fn from_pem_files(
        provider: &Provider,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                Error::load(format!(
                    "loading an identity: `{}` cannot be read",
                    path.display()
                ))
                .with_source(error)
            })
        };
        Self::from_pem(provider, &read(chain.as_ref())?, &read(key.as_ref())?)
    }

    /// Takes DER: the certificates in order, and the key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_der<C>(
        provider: &Provider,
        chain: impl IntoIterator<Item = C>,
        key: &[u8],
    ) -> Result<Self, Error>
    where
        C: Into<Vec<u8>>,
    {
        let chain = chain
            .into_iter()
            .map(|certificate| CertificateDer::from(certificate.into()))
            .collect::<Vec<_>>();
        let key = PrivateKeyDer::try_from(key.to_vec())
            .map_err(|_| failed("the key is none in PKCS #8, PKCS #1 or SEC 1"))?;
        Self::new(provider, chain, key)
    }

    /// Takes a key as rustls has it, such as one in a hardware module. Unstable: it goes with rustls's versions, not with ours.
    ///
    /// # Errors
    ///
    /// If the chain is empty or cannot be read, or if the key says that it belongs to another certificate.
    pub fn unstable_from_rustls(key: CertifiedKey) -> Result<Self, Error> {
        let leaf = key
            .cert
            .first()
            .ok_or_else(|| failed("the chain is empty"))?;
        let unreadable = "the first certificate cannot be read";
        EndEntityCert::try_from(leaf).map_err(|error| failed(unreadable).with_source(error))?;
        let (not_after, must_staple) = Certificate::parse(leaf)
            .and_then(|leaf| Ok((leaf.not_after, leaf.must_staple()?)))
            .map_err(|error| failed(unreadable).with_source(error))?;
        match key.keys_match() {
            // A key that does not tell its public half is taken at its owner's word.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(error) => {
                return Err(failed(
                    "the key is not that of the first certificate; put the leaf first, and its own key beside it",
                )
                .with_source(error));
            }
        }
        Ok(Self(Arc::new(Inner {
            must_staple,
            not_after,
            current: RwLock::new(Arc::new(key)),
        })))
    }

    fn new(
        provider: &Provider,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let key = provider
            .crypto()
            .key_provider
            .load_private_key(key)
            .map_err(|error| {
                failed("the provider cannot use a key of this kind").with_source(error)
            })?;
        Self::unstable_from_rustls(CertifiedKey::new(chain, key))
    }

    /// When the first certificate stops being valid. An identity that is past it is still served: only its peers can say whether
    /// they mind.
    pub fn not_after(&self) -> SystemTime {
        self.0.not_after
    }

    /// Whether the certificate is valid for this host name or IP address (RFC 9525). A wildcard covers one label.
    pub fn covers(&self, name: &str) -> bool {
        let key = self.current();
        let (Ok(name), Some(leaf)) = (name.try_into(), key.cert.first()) else {
            return false;
        };
        EndEntityCert::try_from(leaf)
            .and_then(|leaf| leaf.verify_is_valid_for_subject_name(&name))
            .is_ok()
    }

    /// Sets or removes the OCSP response, in DER, that a listener staples to the certificate. It takes effect with the next
    /// handshake, wherever this identity and its clones are used, and cuts nothing.
    ///
    /// The response is sent as it is. Whoever sets it has verified it.
    pub fn set_staple(&self, staple: Option<Vec<u8>>) {
        let next = CertifiedKey {
            ocsp: staple,
            ..CertifiedKey::clone(&self.current())
        };
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// The certificates in DER, the leaf first.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.current().cert.iter().map(|der| der.to_vec()).collect()
    }

    /// What to show peers. `None` if the certificate demands a staple (RFC 7633) and there is none: every client that knows the
    /// demand would refuse it.
    pub(crate) fn servable(&self) -> Option<Arc<CertifiedKey>> {
        let current = self.current();
        (!self.0.must_staple || current.ocsp.is_some()).then_some(current)
    }

    pub(crate) fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(
            &self
                .0
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

fn failed(message: &str) -> Error {
    Error::load(format!("loading an identity: {message}"))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key, whatever its type shows.
        f.debug_struct("Identity")
            .field("certificates", &self.current().cert.len())
            .field("not_after", &self.0.not_after)
            .field("must_staple", &self.0.must_staple)
            .finish_non_exhaustive()
    }
}
