//! Fetches staples and hands them to an identity.

use std::{
    convert::Infallible,
    error, fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bartizan_core::{BoxError, Clock, ConfigError, SystemClock};
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use tower_service::Service;

use super::schedule::{Due, Schedule};
use crate::{
    Identity, Link, Provider, file,
    revocation::{
        CertIdHash, FetchRequest,
        fetch::{Failure, Fetcher},
        ocsp::{self, MAX_SIZE, Origin, Question, Status},
        subject::Subject,
    },
    x509::Certificate,
};

/// Collects the settings of a [`Stapler`].
#[must_use = "it is `build` that makes the stapler"]
pub struct StaplerBuilder {
    provider: Provider,
    identity: Identity,
    issuer: Option<Vec<u8>>,
    fetcher: Option<Box<dyn FnOnce(Duration) -> Fetcher + Send + Sync>>,
    fetch_timeout: Duration,
    file: Option<PathBuf>,
    cert_id_hash: CertIdHash,
    clock: Arc<dyn Clock>,
}

impl StaplerBuilder {
    /// Sets the certificate of the CA that issued the identity's, in DER. Default: the second certificate of its chain.
    pub fn issuer(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.issuer = Some(der.into());
        self
    }

    /// Sets the service that asks the responder. There is no default.
    pub fn fetcher<S>(mut self, service: S) -> Self
    where
        S: Service<FetchRequest, Response = Bytes> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        self.fetcher = Some(Box::new(move |timeout| Fetcher::new(service, timeout)));
        self
    }

    /// Sets how long the responder may take. Default: 15 s: nobody waits for it, except at the start.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// Keeps the staple in this file, so that a restart has it while the responder is down. Default: nowhere.
    ///
    /// What is read from it is verified like what is fetched. Its directory has to exist, and to be writable: the file is replaced as a whole.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Sets by which hash the responder is told about whom it is asked. Default: SHA-1, which all of them know.
    pub fn cert_id_hash(mut self, hash: CertIdHash) -> Self {
        self.cert_id_hash = hash;
        self
    }

    /// Sets the clock. Default: the machine's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The stapler, which has done nothing yet.
    ///
    /// # Errors
    ///
    /// If there is no fetcher, its time is zero, or nobody can be asked: the issuer's certificate is not there or not the issuer's, or the
    /// identity's names no responder at an `http` address.
    pub fn build(self) -> Result<Stapler, ConfigError> {
        let fetcher = self.fetcher.ok_or_else(|| {
            ConfigError::new("fetcher", "none", "a service that asks the responder")
        })?;
        if self.fetch_timeout.is_zero() {
            return Err(ConfigError::new("fetch_timeout", "0", "more than zero"));
        }
        let mut chain = self.identity.chain().into_iter();
        let leaf = chain.next().unwrap_or_default();
        let issuer = self.issuer.or_else(|| chain.next()).ok_or_else(|| {
            ConfigError::new(
                "identity",
                "its chain",
                "the issuer's certificate in it, or `issuer`",
            )
        })?;
        let subject = subject(leaf, &issuer, &self.provider)?;
        Ok(Stapler {
            provider: self.provider,
            identity: self.identity,
            subject,
            fetcher: fetcher(self.fetch_timeout),
            file: self.file,
            cert_id_hash: self.cert_id_hash,
            clock: self.clock,
            schedule: Schedule::new(),
            handle: StaplingHandle(Arc::default()),
        })
    }
}

fn subject(leaf: Vec<u8>, issuer: &[u8], provider: &Provider) -> Result<Subject, ConfigError> {
    let wrong =
        |field, expected| move |error| ConfigError::new(field, "…", expected).with_source(error);
    let issuer: Certificate<'_> =
        Certificate::parse(issuer).map_err(wrong("issuer", "a certificate in DER"))?;
    {
        let leaf = Certificate::parse(&leaf)
            .map_err(wrong("identity", "a certificate that can be read"))?;
        let signed = leaf.signed.verify(issuer.key, provider.algorithms().all);
        if leaf.issuer != issuer.subject || signed.is_err() {
            let expected = "the certificate of the CA that issued the identity's";
            return Err(ConfigError::new("issuer", "another certificate", expected));
        }
    }
    let subject = Subject::parse(&Link::new(
        CertificateDer::from(leaf),
        issuer.subject.to_vec(),
        issuer.key.to_vec(),
    ))
    .map_err(wrong("identity", "a certificate that can be read"))?;
    if subject.responders.is_empty() {
        let expected = "a certificate that names a responder at an http:// address";
        return Err(ConfigError::new("identity", "its certificate", expected));
    }
    Ok(subject)
}

impl fmt::Debug for StaplerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaplerBuilder")
            .field("identity", &self.identity)
            .field("fetch_timeout", &self.fetch_timeout)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Keeps a staple at hand for an [`Identity`]. See the [module](super).
pub struct Stapler {
    provider: Provider,
    identity: Identity,
    subject: Subject,
    fetcher: Fetcher,
    file: Option<PathBuf>,
    cert_id_hash: CertIdHash,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    handle: StaplingHandle,
}

impl Stapler {
    /// Starts with the defaults.
    pub fn builder(provider: &Provider, identity: &Identity) -> StaplerBuilder {
        StaplerBuilder {
            provider: provider.clone(),
            identity: identity.clone(),
            issuer: None,
            fetcher: None,
            fetch_timeout: Duration::from_secs(15),
            file: None,
            cert_id_hash: CertIdHash::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Tells what is stapled.
    pub fn handle(&self) -> StaplingHandle {
        self.handle.clone()
    }

    /// Gets the first staple: from the file, if that one counts, and else from the responder, within `wait`.
    ///
    /// # Errors
    ///
    /// If there is none. [`run`](Self::run) goes on trying.
    pub async fn prime(&mut self, wait: Duration) -> Result<(), StaplingError> {
        if self.load().await {
            return Ok(());
        }
        match tokio::time::timeout(wait, self.refresh()).await {
            Ok(refreshed) => refreshed.map_err(StaplingError),
            Err(_) => Err(StaplingError(Failure::new(format!(
                "the responder did not answer within {wait:?}"
            )))),
        }
    }

    /// Fetches the next staple whenever it is time. It never ends; spawn it, and drop it to stop.
    pub async fn run(mut self) -> Infallible {
        loop {
            match self.schedule.due(self.clock.now()) {
                // ## Stapled => Bare
                Due::Drop => {
                    tracing::warn!(
                        "a staple is out of date soon, and there is no newer one: none is sent"
                    );
                    self.show(None);
                    self.schedule.dropped();
                }
                // ## (Stapled | Bare) => (Stapled | Bare)
                Due::Fetch => {
                    if let Err(error) = self.refresh().await {
                        tracing::warn!(
                            error = &error as &dyn error::Error,
                            "no staple could be fetched"
                        );
                    }
                }
                Due::Wait(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn load(&mut self) -> bool {
        let Some(path) = self.file.clone() else {
            return false;
        };
        let read = file::blocking(move || file::read(&path, MAX_SIZE)).await;
        let loaded = match read {
            Ok(bytes) => self.take(Bytes::from(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => {
                Err(Failure::new("the file with the staple cannot be read").with_source(error))
            }
        };
        if let Err(error) = &loaded {
            tracing::debug!(
                error = error as &dyn error::Error,
                "the staple that was kept does not count"
            );
        }
        loaded.is_ok()
    }

    /// Asks the responders in turn.
    async fn refresh(&mut self) -> Result<(), Failure> {
        self.schedule.fetching(self.clock.now());
        let question = Question {
            hash: self.cert_id_hash,
            nonce: None,
        };
        let mut failure = Failure::new("there is no responder");
        for at in 0..self.subject.responders.len() {
            let uri = &self.subject.responders[at].uri;
            match question.put(&self.fetcher, &self.subject, uri).await {
                Err(error) => failure = error,
                Ok(response) => match self.take(response.clone()) {
                    Err(error) => failure = error,
                    Ok(()) => {
                        self.save(response).await;
                        return Ok(());
                    }
                },
            }
        }
        Err(failure)
    }

    /// Verifies a response and shows it, if clients will believe that all is well.
    fn take(&mut self, response: Bytes) -> Result<(), Failure> {
        let now = self.clock.now();
        let algorithms = self.provider.algorithms().all;
        let answer = ocsp::read(&response, &self.subject, Origin::Staple, now, algorithms)
            .map_err(|error| {
                Failure::new("the OCSP response cannot be stapled").with_source(error)
            })?;
        match answer.status(now) {
            Some(Status::Good) => {}
            Some(Status::Revoked(revoked)) => {
                let failure = Failure::new(format!(
                    "our own certificate was {revoked}, says the responder"
                ));
                tracing::error!(error = &failure as &dyn error::Error, "none is stapled");
                self.show(None);
                self.schedule.dropped();
                return Err(failure);
            }
            Some(Status::Unknown) | None => {
                return Err(Failure::new("the responder does not know our certificate"));
            }
        }
        if self
            .handle
            .this_update()
            .is_some_and(|shown| answer.this_update < shown)
        {
            return Err(Failure::new(
                "the OCSP response is older than the one that is stapled",
            ));
        }
        // A staple always says until when it counts.
        let next_update = answer.next_update.unwrap_or(answer.this_update);
        let jitter = self.provider.jitter();
        if !self
            .schedule
            .stapled(answer.this_update, next_update, now, jitter)
        {
            return Err(Failure::new("the OCSP response is out of date soon"));
        }
        let until = self.schedule.until().unwrap_or(next_update);
        self.show(Some(Shown {
            response,
            this_update: answer.this_update,
            until,
        }));
        Ok(())
    }

    fn show(&self, shown: Option<Shown>) {
        self.identity
            .set_staple(shown.as_ref().map(|shown| shown.response.to_vec()));
        *self.handle.0.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    async fn save(&self, response: Bytes) {
        let Some(path) = self.file.clone() else {
            return;
        };
        if let Err(error) = file::blocking(move || file::replace(&path, &response)).await {
            tracing::warn!(
                error = &error as &dyn error::Error,
                "the staple could not be kept in its file"
            );
        }
    }
}

impl fmt::Debug for Stapler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stapler")
            .field("identity", &self.identity)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// What is stapled now. Its clones tell the same.
#[derive(Clone)]
pub struct StaplingHandle(Arc<Mutex<Option<Shown>>>);

struct Shown {
    response: Bytes,
    this_update: SystemTime,
    until: SystemTime,
}

impl StaplingHandle {
    /// The OCSP response that is stapled, in DER.
    pub fn response(&self) -> Option<Bytes> {
        self.read(|shown| shown.response.clone())
    }

    /// As of when that is.
    pub fn this_update(&self) -> Option<SystemTime> {
        self.read(|shown| shown.this_update)
    }

    /// When it is taken away, if there is no newer one by then.
    pub fn until(&self) -> Option<SystemTime> {
        self.read(|shown| shown.until)
    }

    fn read<T>(&self, read: impl FnOnce(&Shown) -> T) -> Option<T> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().map(read)
    }
}

impl fmt::Debug for StaplingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaplingHandle")
            .field("until", &self.until())
            .finish_non_exhaustive()
    }
}

/// Why there is no staple.
#[derive(Debug)]
pub struct StaplingError(Failure);

impl fmt::Display for StaplingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for StaplingError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
    }
}
