//! The lists that were given, by issuer.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use bartizan_core::{Clock, ConfigError, SystemClock};
use bytes::Bytes;
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use tokio::sync::Semaphore;

use super::{
    CrlError,
    list::{List, Listed, SKEW},
};
use crate::{
    Provider,
    revocation::subject::{Key, Subject, key},
    x509::{Certificate, Usage, signed::Algorithms},
};

/// Larger than any list in use, and small enough to hold a few in memory.
const MAX_SIZE: usize = 32 << 20;

/// Lists whose issuer is not known yet.
const MAX_WAITING: usize = 64;

/// So many issuers of one name get to try a list before it is given up.
const MAX_NAMESAKES: usize = 4;

/// What takes longer to verify than a task may hold its worker: hashing this much takes some tenths of a millisecond.
const LARGE: usize = 128 << 10;

/// Lists of revoked certificates that you supply, verified when they are added and never again.
///
/// Each is verified against the issuer that it names, of those that you [name](Self::add_issuers). One whose issuer is not known is kept
/// aside until a peer shows up with a path through that issuer, and verified then, on another thread.
///
/// Of several lists of one issuer for the same distribution point, the one with the highest number is kept, in whatever order they
/// come. One that is refused leaves the others alone. A look-up is a binary search over the serial numbers.
///
/// Its clones share the lists: keep one to add newer ones while it is in use. What is added counts from the next connection on,
/// resumed ones included.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// use bartizan_tls::{Provider, revocation::CrlIndex};
///
/// let index = CrlIndex::new(&Provider::aws_lc());
/// let added = index.add(&b"-----BEGIN X509 CRL-----\nbm90IGEgbGlzdA==\n-----END X509 CRL-----\n"[..]);
/// let error = added[0].as_ref().unwrap_err();
/// assert!(error.is_malformed());
/// assert_eq!(error.to_string(), "the certificate revocation list is not used: it cannot be read");
/// # }
/// ```
#[derive(Clone)]
pub struct CrlIndex {
    algorithms: Algorithms,
    max_size: usize,
    clock: Arc<dyn Clock>,
    lists: Arc<RwLock<Lists>>,
    /// One connection at a time has a list verified that waited for its issuer.
    settling: Arc<Semaphore>,
}

#[derive(Default)]
struct Lists {
    issuers: Vec<Issuer>,
    verified: HashMap<Key, Vec<Arc<List>>>,
    waiting: Vec<Waiting>,
}

#[derive(Clone)]
struct Issuer {
    name: Box<[u8]>,
    key: Box<[u8]>,
    may_sign: bool,
}

struct Waiting {
    list: Arc<List>,
    /// The issuers of that name that did not sign it.
    refused_by: Vec<Key>,
}

/// A list that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrlInfo {
    /// Who issued it, as RFC 4514 writes names.
    pub issuer: String,
    /// Its number in hexadecimal, if it has one.
    pub number: Option<String>,
    /// How many certificates it lists.
    pub entries: usize,
    /// When it was issued.
    pub this_update: SystemTime,
    /// When the next one is due: from then on it no longer says that a certificate is good.
    pub next_update: SystemTime,
    /// What became of it.
    pub place: CrlPlace,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrlPlace {
    /// It is in use.
    InUse,
    /// A later one is in use.
    Superseded,
    /// It is kept until a peer shows up whose path leads through its issuer.
    Waiting,
}

impl CrlIndex {
    /// Without lists. Each may have up to 32 MiB: more than the largest in use, and a bound on memory.
    pub fn new(provider: &Provider) -> Self {
        Self {
            algorithms: provider.algorithms().all,
            max_size: MAX_SIZE,
            clock: Arc::new(SystemClock),
            lists: Arc::default(),
            settling: Arc::new(Semaphore::new(1)),
        }
    }

    /// Sets how large a list may be, in bytes of DER.
    #[must_use]
    pub fn with_max_size(mut self, max_size: usize) -> Self {
        self.max_size = max_size;
        self
    }

    /// Sets the clock that tells whether a list is from the future. Default: the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Names CAs whose lists will come, by their certificates in DER: roots and intermediates.
    ///
    /// A list of a CA that was named is verified when it is added, and one that it did not sign is refused then.
    ///
    /// # Errors
    ///
    /// If one cannot be read. None of them is added then.
    pub fn add_issuers<C: AsRef<[u8]>>(
        &self,
        certificates: impl IntoIterator<Item = C>,
    ) -> Result<(), ConfigError> {
        let issuers = certificates
            .into_iter()
            .map(|certificate| {
                let certificate = Certificate::parse(certificate.as_ref())?;
                Ok(Issuer {
                    name: certificate.subject.into(),
                    key: certificate.key.into(),
                    may_sign: certificate.allows(Usage::CrlSign)?,
                })
            })
            .collect::<der::Result<Vec<_>>>()
            .map_err(|error| {
                ConfigError::new("issuers", "…", "certificates in DER").with_source(error)
            })?;
        self.write(|lists| lists.issuers.extend(issuers));
        Ok(())
    }

    /// Adds lists: one in DER, or any number in PEM. Says for each what became of it.
    ///
    /// It parses and verifies them on this thread, for some tens of milliseconds if they are large. In a running server, use
    /// [`load`](Self::load).
    pub fn add(&self, bytes: impl Into<Bytes>) -> Vec<Result<CrlInfo, CrlError>> {
        let bytes = bytes.into();
        // What a SEQUENCE begins with, and no text does.
        if bytes.first() == Some(&0x30) {
            return vec![self.add_der(&bytes)];
        }
        let mut added: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&bytes)
            .map(|der| match der {
                Ok(der) => self.add_der(&Bytes::copy_from_slice(&der)),
                Err(error) => Err(CrlError::malformed(error)),
            })
            .collect();
        if added.is_empty() {
            added.push(Err(CrlError::malformed("there is no list in it")));
        }
        added
    }

    /// Like [`add`](Self::add), on a thread for blocking work. Dropping the future does not stop it.
    pub async fn load(&self, bytes: impl Into<Bytes>) -> Vec<Result<CrlInfo, CrlError>> {
        let (this, bytes) = (self.clone(), bytes.into());
        blocking(move || this.add(bytes)).await
    }

    /// How many lists are in use.
    pub fn len(&self) -> usize {
        self.read(|lists| lists.verified.values().map(Vec::len).sum())
    }

    /// Whether no list is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add_der(&self, der: &Bytes) -> Result<CrlInfo, CrlError> {
        if der.len() > self.max_size {
            return Err(CrlError::too_large());
        }
        let list = Arc::new(List::parse(der)?);
        let info = |place| CrlInfo {
            issuer: list.issuer_text(),
            number: list.number_text(),
            entries: list.len(),
            this_update: list.this_update,
            next_update: list.next_update,
            place,
        };
        let about = |error: CrlError| error.about(list.issuer_text());
        if list.this_update > self.clock.now() + SKEW {
            return Err(about(CrlError::not_yet_valid()));
        }
        let namesakes = self.read(|lists| {
            let issuers = lists.issuers.iter();
            let namesakes = issuers.filter(|issuer| *issuer.name == *list.issuer);
            namesakes.cloned().collect::<Vec<_>>()
        });
        if namesakes.is_empty() {
            return self
                .write(|lists| lists.wait(Arc::clone(&list)))
                .map(|()| info(CrlPlace::Waiting))
                .map_err(about);
        }
        let mut refused = None;
        for issuer in namesakes {
            let by_issuer = match issuer.may_sign {
                true => list.verify(&issuer.key, self.algorithms),
                false => Err(CrlError::may_not_sign()),
            };
            match by_issuer {
                Ok(()) => {
                    let issuer = key(&[&issuer.name, &issuer.key]);
                    let place = self.write(|lists| lists.keep(issuer, Arc::clone(&list)));
                    return Ok(info(place));
                }
                Err(error) => refused = Some(error),
            }
        }
        Err(about(refused.expect("there was an issuer to refuse it")))
    }

    /// What the lists say of `subject`, and which of them does. That it is revoked outweighs everything else.
    pub(in crate::revocation) fn says(
        &self,
        subject: &Subject,
        now: SystemTime,
    ) -> Option<(Listed, Arc<List>)> {
        self.read(|lists| {
            let mut good = None;
            for list in lists.verified.get(&subject.issuer)? {
                match list.says(subject, now) {
                    revoked @ Listed::Revoked(_) => return Some((revoked, Arc::clone(list))),
                    Listed::Good => good = Some((Listed::Good, Arc::clone(list))),
                    Listed::Silent => {}
                }
            }
            good
        })
    }

    /// Has those lists verified that waited for the issuer of `subject`. `true` if one of them is in use now.
    pub(in crate::revocation) async fn settle(&self, subject: &Subject, may_sign: bool) -> bool {
        if self.waiting_for(subject).is_empty() {
            return false;
        }
        let _turn = self.settling.acquire().await;
        let mut is_any = false;
        for list in self.waiting_for(subject) {
            let verified = match may_sign {
                true => verify_off_thread(&list, subject, self.algorithms).await,
                false => Err(CrlError::may_not_sign()),
            };
            match verified {
                Ok(()) => {
                    self.write(|lists| {
                        lists
                            .waiting
                            .retain(|other| !Arc::ptr_eq(&other.list, &list));
                        lists.keep(subject.issuer, Arc::clone(&list))
                    });
                    is_any = true;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error.about(list.issuer_text()) as &dyn std::error::Error
                    );
                    self.write(|lists| lists.refuse(&list, subject.issuer));
                }
            }
        }
        is_any
    }

    fn waiting_for(&self, subject: &Subject) -> Vec<Arc<List>> {
        self.read(|lists| {
            lists
                .waiting
                .iter()
                .filter(|waiting| *waiting.list.issuer == *subject.issuer_name)
                .filter(|waiting| !waiting.refused_by.contains(&subject.issuer))
                .map(|waiting| Arc::clone(&waiting.list))
                .collect()
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Lists) -> T) -> T {
        read(&self.lists.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Lists) -> T) -> T {
        write(&mut self.lists.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lists {
    /// Keeps the later one of `list` and of what there is for the same certificates: one that is put back would let in what was
    /// revoked in between.
    fn keep(&mut self, issuer: Key, list: Arc<List>) -> CrlPlace {
        let lists = self.verified.entry(issuer).or_default();
        match lists
            .iter_mut()
            .find(|other| other.is_about_the_same(&list))
        {
            Some(other) if list.is_before(other) => return CrlPlace::Superseded,
            Some(other) => *other = list,
            None => lists.push(list),
        }
        CrlPlace::InUse
    }

    fn wait(&mut self, list: Arc<List>) -> Result<(), CrlError> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(CrlError::full());
        }
        self.waiting.push(Waiting {
            list,
            refused_by: Vec::new(),
        });
        Ok(())
    }

    fn refuse(&mut self, list: &Arc<List>, issuer: Key) {
        self.waiting.retain_mut(|waiting| {
            if Arc::ptr_eq(&waiting.list, list) {
                waiting.refused_by.push(issuer);
            }
            waiting.refused_by.len() < MAX_NAMESAKES
        });
    }
}

/// Verifies `list` by the issuer's key, on this thread only if that is quick.
pub(in crate::revocation) async fn verify_off_thread(
    list: &Arc<List>,
    subject: &Subject,
    algorithms: Algorithms,
) -> Result<(), CrlError> {
    if list.size() < LARGE {
        return list.verify(&subject.issuer_key, algorithms);
    }
    let (list, key) = (Arc::clone(list), subject.issuer_key.clone());
    blocking(move || list.verify(&key, algorithms)).await
}

/// Reads a list, on this thread only if that is quick.
pub(in crate::revocation) async fn parse_off_thread(der: Bytes) -> Result<List, CrlError> {
    if der.len() < LARGE {
        return List::parse(&der);
    }
    blocking(move || List::parse(&der)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down, and drops this task as well.
            Err(_) => std::future::pending().await,
        },
    }
}

impl fmt::Debug for CrlIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrlIndex")
            .field("lists", &self.len())
            .finish_non_exhaustive()
    }
}
