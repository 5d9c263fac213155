//! Orders certificates when it is time.

use std::{
    convert::Infallible,
    error, fmt,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bartizan_core::BoxError;
use der::Decode as _;
use instant_acme::{Account, AccountCredentials, CertificateIdentifier, NewAccount};
use rustls_pki_types::Der;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::{
    AcmeBuilder, AcmeHandle, Challenges,
    handle::{AcmeError, Status},
    http::Client,
    order::order,
    schedule::{Due, Schedule},
};
use crate::{Identity, Provider, file, x509::Certificate};

/// A chain and its key; an account has less.
const MAX_SIZE: usize = 256 * 1024;

/// Gets a certificate from a CA, and the next one before it ends. See the [module](super).
pub struct Acme {
    settings: AcmeBuilder,
    client: Client,
    challenges: Challenges,
    schedule: Schedule,
    account: Option<Account>,
    /// What is to be installed. It is not ordered again because it could not be.
    waiting: Option<(Identity, Validity)>,
    /// What is installed, as RFC 9773 names it.
    installed: Option<(Vec<u8>, Vec<u8>)>,
    status: watch::Sender<Status>,
    account_file: PathBuf,
    certificate_file: PathBuf,
}

type Validity = (SystemTime, SystemTime);

impl Acme {
    /// Starts with the defaults: `directory` is the `https` address of the CA's directory, such as
    /// `https://acme-v02.api.letsencrypt.org/directory`; `folder` is where account and certificate are kept. It has to be there, and to be
    /// writable. What is in it is as secret as keys are.
    ///
    /// Keeping them is no option that could be turned off: a process that orders with each start is soon refused for a week.
    pub fn builder(
        provider: &Provider,
        directory: impl Into<String>,
        folder: impl Into<PathBuf>,
    ) -> AcmeBuilder {
        AcmeBuilder::new(provider, directory.into(), folder.into())
    }

    pub(super) fn new(settings: AcmeBuilder, client: Client) -> Self {
        // By directory: what a CA's staging has issued must not pass for the real thing.
        let digest = Sha256::digest(settings.directory.as_bytes());
        let mut of = String::new();
        for byte in &digest[..6] {
            write!(of, "{byte:02x}").expect("a string takes all");
        }
        Self {
            account_file: settings.folder.join(format!("account-{of}.json")),
            certificate_file: settings.folder.join(format!("certificate-{of}.pem")),
            settings,
            client,
            challenges: Challenges::default(),
            schedule: Schedule::new(),
            account: None,
            waiting: None,
            installed: None,
            status: watch::Sender::new(Status::default()),
        }
    }

    /// The answers for the CA: for a [listener](crate::ListenerTls::acme), or an [`Http01Layer`](super::Http01Layer).
    pub fn challenges(&self) -> Challenges {
        self.challenges.clone()
    }

    /// Tells how it fares.
    pub fn handle(&self) -> AcmeHandle {
        AcmeHandle::new(self.status.subscribe())
    }

    /// Installs the certificate that was kept, if it still counts, and orders the next one whenever it is time. It never ends; spawn it, and
    /// drop it to stop.
    ///
    /// `install` is called with each certificate. Should it fail, what was installed stays, and it is called again later, with the same one.
    pub async fn run<E>(mut self, install: impl Fn(Identity) -> Result<(), E> + Send) -> Infallible
    where
        E: Into<BoxError>,
    {
        self.waiting = self.load().await;
        if self.waiting.is_some() {
            if let Err(error) = self.install(&install, false) {
                let now = self.settings.clock.now();
                self.schedule.ordering(now);
                self.failed(error);
            }
        }
        loop {
            let now = self.settings.clock.now();
            match self.schedule.due(now) {
                Due::Order => {
                    self.schedule.ordering(now);
                    // What it wanted long ago does not count.
                    self.client.take_hold_off();
                    let renewed = match self.waiting {
                        Some(_) => Ok(()),
                        None => self.renew().await,
                    };
                    let installed = renewed.and_then(|()| self.install(&install, true));
                    if let Err(error) = installed {
                        if let Some(wait) = self.client.take_hold_off() {
                            self.schedule.hold_off(self.settings.clock.now(), wait);
                        }
                        self.failed(error);
                    }
                }
                Due::Ask => self.ask().await,
                Due::Wait(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    fn failed(&self, error: AcmeError) {
        tracing::warn!(
            error = &error as &dyn error::Error,
            "no new certificate could be had"
        );
        self.status.send_modify(|status| {
            status.error = Some(Arc::new(error));
            status.next_order = Some(self.schedule.order_at());
        });
    }

    /// Shows what is waiting.
    fn install<E>(
        &mut self,
        install: impl Fn(Identity) -> Result<(), E>,
        is_new: bool,
    ) -> Result<(), AcmeError>
    where
        E: Into<BoxError>,
    {
        let Some((identity, validity)) = self.waiting.clone() else {
            return Ok(());
        };
        install(identity.clone()).map_err(|error| {
            AcmeError::new("the new certificate could not be installed").with_source(error)
        })?;
        self.waiting = None;
        self.installed = identity.chain().first().and_then(|leaf| renewal_id(leaf));
        let jitter = self.settings.provider.jitter();
        self.schedule
            .installed(validity, self.settings.clock.now(), jitter, is_new);
        tracing::info!(
            names = ?self.settings.names,
            is_new,
            "a certificate was installed"
        );
        self.status.send_replace(Status {
            not_after: Some(validity.1),
            next_order: Some(self.schedule.order_at()),
            error: None,
        });
        Ok(())
    }

    /// Gets a certificate, and keeps it.
    async fn renew(&mut self) -> Result<(), AcmeError> {
        self.status.send_modify(|status| status.next_order = None);
        let (chain, key) = match self.order().await {
            // The CA has lost the account, as test CAs do with each start.
            Err(error)
                if error.problem() == Some("urn:ietf:params:acme:error:accountDoesNotExist") =>
            {
                self.account = Some(self.register().await?);
                self.order().await?
            }
            ordered => ordered?,
        };
        let pem = format!("{key}{chain}");
        let made = self.check(pem.as_bytes())?;
        // Kept before it is shown: a restart finds at least as much as clients have seen.
        let (path, pem) = (self.certificate_file.clone(), pem.into_bytes());
        if let Err(error) = file::blocking(move || file::replace(&path, &pem)).await {
            tracing::warn!(
                error = &error as &dyn error::Error,
                "the new certificate could not be kept; a restart orders another"
            );
        }
        self.waiting = Some(made);
        Ok(())
    }

    async fn order(&mut self) -> Result<(String, String), AcmeError> {
        let account = self.account().await?;
        // By which a CA knows that it is no additional one. Should that be what it does not like, the next try is without.
        let replaces = self
            .installed
            .as_ref()
            .filter(|_| self.schedule.is_suggested() && !self.schedule.has_failed())
            .map(|(issuer, serial)| identifier(issuer, serial));
        order(&self.settings, &account, &self.challenges, replaces).await
    }

    /// When the CA wants the certificate to be renewed (RFC 9773). Few say so, and none has to.
    async fn ask(&mut self) {
        let now = self.settings.clock.now();
        let suggested = async {
            let (issuer, serial) = self.installed.as_ref()?;
            let id = identifier(issuer, serial);
            let account = match &self.account {
                Some(account) => account.clone(),
                None => self.kept_account().await?,
            };
            Some(account.renewal_info(&id).await)
        };
        match suggested.await {
            Some(Ok((info, again))) => {
                let window = info.suggested_window;
                let window = (window.start.into(), window.end.into());
                let jitter = self.settings.provider.jitter();
                self.schedule.suggested(window, again, now, jitter);
                let at = self.schedule.order_at();
                self.status
                    .send_modify(|status| status.next_order = Some(at));
            }
            Some(Err(error)) => {
                tracing::debug!(
                    error = &error as &dyn error::Error,
                    "the CA does not say when it wants the certificate to be renewed"
                );
                self.schedule.not_suggested(now);
            }
            None => self.schedule.not_suggested(now),
        }
        // It was no order: what the CA wants there does not count here.
        self.client.take_hold_off();
    }

    async fn account(&mut self) -> Result<Account, AcmeError> {
        if let Some(account) = &self.account {
            return Ok(account.clone());
        }
        let account = match self.kept_account().await {
            Some(account) => account,
            None => self.register().await?,
        };
        self.account = Some(account.clone());
        Ok(account)
    }

    /// The account that was kept, if it can be read and the CA be reached.
    async fn kept_account(&self) -> Option<Account> {
        let kept = read(&self.account_file).await?;
        let credentials = serde_json::from_slice::<AccountCredentials>(&kept);
        let credentials = credentials.inspect_err(|error| {
            tracing::warn!(
                error = error as &dyn error::Error,
                "the account that was kept cannot be read; another is made"
            );
        });
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let account = builder.from_credentials(credentials.ok()?).await;
        account
            .inspect_err(|error| {
                tracing::debug!(
                    error = error as &dyn error::Error,
                    "the CA cannot be reached"
                );
            })
            .ok()
    }

    async fn register(&self) -> Result<Account, AcmeError> {
        // First, because CAs stop to give accounts to who asks for one with each start.
        let failed = || {
            AcmeError::new(
                "the account could not be kept; see whether the folder is there, and writable",
            )
        };
        let path = self.account_file.clone();
        file::blocking(move || file::probe(&path))
            .await
            .map_err(|error| failed().with_source(error))?;
        let contact = self.settings.contacts.iter().map(String::as_str);
        let contact = contact.collect::<Vec<_>>();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.settings.agreed,
            only_return_existing: false,
        };
        let external = self.settings.external_key();
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let (account, credentials) = builder
            .create(&wanted, self.settings.directory.clone(), external.as_ref())
            .await
            .map_err(|error| AcmeError::new("the CA gives no account").with_source(error))?;
        let kept = serde_json::to_vec(&credentials).map_err(|e| failed().with_source(e))?;
        let path = self.account_file.clone();
        file::blocking(move || file::replace(&path, &kept))
            .await
            .map_err(|error| failed().with_source(error))?;
        Ok(account)
    }

    async fn load(&self) -> Option<(Identity, Validity)> {
        let kept = read(&self.certificate_file).await?;
        let checked = self.check(&kept);
        checked
            .inspect_err(|error| {
                tracing::warn!(
                    error = error as &dyn error::Error,
                    "the certificate that was kept does not count"
                );
            })
            .ok()
    }

    /// Takes a certificate only if it can be used: with its key, for all names, and now.
    fn check(&self, pem: &[u8]) -> Result<(Identity, Validity), AcmeError> {
        let refused =
            |why: String| AcmeError::new(format!("the certificate cannot be used: {why}"));
        let identity = Identity::from_pem(&self.settings.provider, pem, pem)
            .map_err(|error| AcmeError::new("the certificate cannot be used").with_source(error))?;
        if let Some(name) = self
            .settings
            .names
            .iter()
            .find(|name| !identity.covers(name))
        {
            return Err(refused(format!("it is not for `{name}`")));
        }
        let chain = identity.chain();
        let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
        let leaf = Certificate::parse(leaf)
            .map_err(|error| AcmeError::new("the certificate cannot be read").with_source(error))?;
        let validity = (leaf.not_before, leaf.not_after);
        if validity.1 <= self.settings.clock.now() {
            return Err(refused("it has expired; check the clock".to_owned()));
        }
        Ok((identity, validity))
    }
}

async fn read(path: &Path) -> Option<Vec<u8>> {
    let from = path.to_owned();
    match file::blocking(move || file::read(&from, MAX_SIZE)).await {
        Ok(bytes) if bytes.len() <= MAX_SIZE => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        unread => {
            tracing::warn!(
                error = unread.err().as_ref().map(|error| error as &dyn error::Error),
                path = %path.display(),
                "what was kept cannot be read"
            );
            None
        }
    }
}

fn identifier(issuer: &[u8], serial: &[u8]) -> CertificateIdentifier<'static> {
    CertificateIdentifier::new(Der::from_slice(issuer), Der::from_slice(serial)).into_owned()
}

/// What a certificate is named by (RFC 9773 section 4.1): its issuer's key identifier and its serial number, if it tells both.
fn renewal_id(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let tbs = certificate.tbs_certificate;
    let (_, issuer) = tbs.get::<AuthorityKeyIdentifier>().ok()??;
    let issuer = issuer.key_identifier?.into_bytes();
    Some((issuer, tbs.serial_number.as_bytes().to_vec()))
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme")
            .field("settings", &self.settings)
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SerialNumber};

    use super::*;

    /// The serial number of RFC 9773 section 4.1's example.
    #[test]
    fn a_certificate_is_named_by_its_issuer_and_its_serial_number() {
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(vec![0x87, 0x65, 0x43, 0x21]));
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        assert_eq!(renewal_id(made.der()), None, "nobody is named as issuer");

        params.use_authority_key_identifier_extension = true;
        let made = params.self_signed(&key).unwrap();
        let (issuer, serial) = renewal_id(made.der()).unwrap();
        let shown = identifier(&issuer, &serial).to_string();
        assert_eq!(issuer.len(), 20);
        assert!(shown.ends_with(".AIdlQyE"), "{shown}");
    }
}
