//! Puts staples, lists and responders together.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use ::http::Uri;
use bytes::Bytes;
use rustls::crypto::CryptoProvider;
use tokio::time::Instant;

use super::{
    CertIdHash, CrlIndex, Engine, Evidence, FetchRequest, Method, OnUnavailable, Refusal,
    RevocationBuilder, Scope, Verdict,
    cache::{Cache, Cached},
    crl::{CrlError, List, Listed, parse_off_thread, verify_off_thread},
    evidence::Revoked,
    fetch::{Failure, Fetcher, shown},
    ocsp::{self, Answer, Nonce, Origin, Status},
    signed::Algorithms,
    subject::{Certificate, Key, Subject, key, name_text},
};
use crate::{Chain, Provider};

/// An OCSP response is about one certificate; the limit is the reader's too.
const MAX_RESPONSE: usize = 64 << 10;

/// Finds out whether certificates were revoked. See the [module](super).
#[derive(Clone)]
pub struct Revocation(Arc<Inner>);

pub(super) struct Inner {
    pub(super) crypto: Arc<CryptoProvider>,
    pub(super) methods: Vec<Method>,
    pub(super) scope: Scope,
    pub(super) on_unavailable: OnUnavailable,
    pub(super) peer_staples: bool,
    pub(super) must_staple: bool,
    pub(super) max_crl_size: usize,
    pub(super) nonce: bool,
    pub(super) cert_id_hash: CertIdHash,
    pub(super) lists: Option<CrlIndex>,
    pub(super) fetcher: Option<Fetcher>,
    pub(super) fetched_lists: Cache<Arc<List>>,
    pub(super) answers: Cache<Answer>,
    /// What peers stapled: a resumed connection has no staple, and the one of its first handshake counts for it.
    pub(super) staples: Cache<Answer>,
}

/// What one source says.
enum Said {
    Good(Evidence),
    Revoked(Revoked, Method),
}

/// What is known without asking anybody.
enum Known {
    Revoked(Revoked, Method),
    Good(Evidence),
    /// Good, by something that counts still, and that one would rather have newer.
    Stale(Evidence),
    Nothing,
}

impl Known {
    fn add(&mut self, said: Option<Said>, is_fresh: bool) {
        match (&self, said) {
            (Self::Revoked(..), _) | (_, None) => {}
            (_, Some(Said::Revoked(revoked, method))) => *self = Self::Revoked(revoked, method),
            (Self::Stale(_) | Self::Nothing, Some(Said::Good(evidence))) if is_fresh => {
                *self = Self::Good(evidence);
            }
            (Self::Nothing, Some(Said::Good(evidence))) => *self = Self::Stale(evidence),
            (Self::Good(_) | Self::Stale(_), Some(Said::Good(_))) => {}
        }
    }
}

/// A certificate, and where in its path it stands.
struct Place<'a> {
    chain: &'a Chain,
    position: usize,
    subject: Subject,
}

impl Revocation {
    /// For the client's end, where servers are checked: they may staple.
    pub fn of_servers(provider: &Provider) -> RevocationBuilder {
        RevocationBuilder::new(provider, true)
    }

    /// For the listener's end, where clients are checked: they cannot staple.
    pub fn of_clients(provider: &Provider) -> RevocationBuilder {
        RevocationBuilder::new(provider, false)
    }

    pub(super) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl Engine for Revocation {
    fn in_handshake(&self, chain: &Chain, staple: &[u8], now: SystemTime) -> Result<(), Refusal> {
        let this = &*self.0;
        for position in this.positions(chain) {
            // What cannot be read cannot be known: the second stage says so, by the policy.
            let Ok(place) = Place::new(chain, position) else {
                continue;
            };
            if position == 0 && this.peer_staples {
                this.take_staple(&place, staple, now)?;
            }
            if let Known::Revoked(revoked, method) = this.known(&place, now) {
                return Err(place.refusal(&revoked, method));
            }
        }
        Ok(())
    }

    fn after_handshake<'a>(
        &'a self,
        chain: &'a Chain,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Refusal>> + Send + 'a>> {
        Box::pin(self.0.check(chain, now))
    }
}

impl Inner {
    fn positions(&self, chain: &Chain) -> std::ops::Range<usize> {
        match self.scope {
            Scope::Leaf => 0..1,
            Scope::Chain => 0..chain.links().len(),
        }
    }

    fn uses(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }

    fn algorithms(&self) -> Algorithms {
        self.crypto.signature_verification_algorithms.all
    }

    /// Verifies the staple and keeps what it says.
    fn take_staple(
        &self,
        place: &Place<'_>,
        staple: &[u8],
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let subject = &place.subject;
        let is_promised = self.must_staple && subject.must_staple;
        if !is_promised && (staple.is_empty() || !self.uses(Method::Staple)) {
            return Ok(());
        }
        if staple.is_empty() {
            return Err(Refusal::must_staple(format!(
                "{place} promises a staple, and the server sent none"
            )));
        }
        let is_good = match ocsp::read(staple, subject, Origin::Staple, now, self.algorithms()) {
            Ok(answer) => {
                let clock = Instant::now();
                let answer = self.staples.put(subject.key, answer, true, clock, is_older);
                match answer.status(now) {
                    Some(Status::Revoked(revoked)) => {
                        return Err(place.refusal(revoked, Method::Staple));
                    }
                    Some(Status::Good) => Ok(()),
                    Some(Status::Unknown) | None => Err(None),
                }
            }
            Err(error) => Err(Some(error)),
        };
        match is_good {
            Err(error) if is_promised => {
                let refusal = Refusal::must_staple(format!(
                    "{place} promises a staple, and that of the server does not count"
                ));
                Err(match error {
                    Some(error) => refusal.with_source(error),
                    None => refusal,
                })
            }
            Err(Some(error)) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the staple does not count"
                );
                Ok(())
            }
            Err(None) | Ok(()) => Ok(()),
        }
    }

    /// What is known without asking anybody. That it was revoked outweighs all else, whoever says so.
    fn known(&self, place: &Place<'_>, now: SystemTime) -> Known {
        let (subject, clock) = (&place.subject, Instant::now());
        let mut known = Known::Nothing;
        if self.uses(Method::Crl) {
            if let Some((listed, list)) = self
                .lists
                .as_ref()
                .and_then(|lists| lists.says(subject, now))
            {
                known.add(place.listed(listed, &list), true);
            }
            for uri in &subject.crl_uris {
                let cached = self.fetched_lists.get(&list_key(subject, uri), clock);
                let is_fresh = matches!(cached, Cached::Fresh(_));
                if let Some(list) = cached.value() {
                    known.add(place.listed(list.says(subject, now), &list), is_fresh);
                }
            }
        }
        // A staple counts as long as it says, in a handshake and so in those that resume it.
        if let Some(answer) = self.staples.get(&subject.key, clock).value() {
            known.add(place.answered(&answer, Method::Staple, now), true);
        }
        if self.uses(Method::Ocsp) {
            let cached = self.answers.get(&subject.key, clock);
            let is_fresh = matches!(cached, Cached::Fresh(_));
            if let Some(answer) = cached.value() {
                known.add(place.answered(&answer, Method::Ocsp, now), is_fresh);
            }
        }
        known
    }

    async fn check(&self, chain: &Chain, now: SystemTime) -> Result<Verdict, Refusal> {
        let mut evidence = Vec::new();
        let mut unavailable = None;
        for position in self.positions(chain) {
            let refusal = match Place::new(chain, position) {
                Ok(place) => match self.ask(&place, now).await {
                    Ok(Said::Good(good)) => {
                        evidence.push(good);
                        continue;
                    }
                    Ok(Said::Revoked(revoked, method)) => return Err(place.refusal(&revoked, method)),
                    Err(failures) => place.unavailable(failures),
                },
                Err(error) => Refusal::unavailable(format!(
                    "it is not known whether the peer's certificate {position} was revoked: it cannot be read"
                ))
                .with_source(error),
            };
            match self.on_unavailable {
                OnUnavailable::Reject => return Err(refusal),
                // One of the others may be revoked, and that is never allowed.
                OnUnavailable::Allow => unavailable = unavailable.or(Some(refusal)),
            }
        }
        match unavailable {
            None => Ok(Verdict::Good(evidence.into())),
            Some(refusal) => {
                tracing::warn!(
                    error = &refusal as &dyn std::error::Error,
                    "a peer is let in whose certificate may be revoked"
                );
                Ok(Verdict::Unavailable(refusal.to_string().into()))
            }
        }
    }

    /// Finds out, by what is known and then by each method in turn.
    async fn ask(&self, place: &Place<'_>, now: SystemTime) -> Result<Said, Vec<Arc<Failure>>> {
        let mut known = self.known(place, now);
        if let (Known::Stale(_) | Known::Nothing, Some(lists)) = (&known, &self.lists) {
            if self.uses(Method::Crl) && lists.settle(&place.subject, place.issuer_may_sign()).await
            {
                known = self.known(place, now);
            }
        }
        let stale = match known {
            Known::Revoked(revoked, method) => return Ok(Said::Revoked(revoked, method)),
            Known::Good(evidence) => return Ok(Said::Good(evidence)),
            Known::Stale(evidence) => Some(evidence),
            Known::Nothing => None,
        };
        let mut failures = Vec::new();
        if let Some(fetcher) = &self.fetcher {
            for method in &self.methods {
                let said = match method {
                    Method::Staple => None,
                    Method::Crl => self.ask_for_list(fetcher, place, now, &mut failures).await,
                    Method::Ocsp => self.ask_responder(fetcher, place, now, &mut failures).await,
                };
                if let Some(said) = said {
                    return Ok(said);
                }
            }
        }
        stale.map(Said::Good).ok_or(failures)
    }

    async fn ask_for_list(
        &self,
        fetcher: &Fetcher,
        place: &Place<'_>,
        now: SystemTime,
        failures: &mut Vec<Arc<Failure>>,
    ) -> Option<Said> {
        let subject = &place.subject;
        for uri in &subject.crl_uris {
            let key = list_key(subject, uri);
            let turn = self.fetched_lists.turn(&key);
            // Never closed. Dropped with this future, it lets the next one fetch.
            let _turn = turn.acquire().await;
            let list = match self.fetched_lists.get(&key, Instant::now()) {
                Cached::Fresh(list) if now < list.next_update => Ok(list),
                Cached::Failed(failure, _) => Err(failure),
                Cached::Fresh(_) | Cached::Stale(_) | Cached::Nothing => {
                    let fetched = self.fetch_list(fetcher, place, uri, now).await;
                    self.keep_list(key, uri, fetched, now)
                }
            };
            match list.map(|list| place.listed(list.says(subject, now), &list)) {
                Ok(Some(said)) => return Some(said),
                Ok(None) => failures.push(Arc::new(Failure::new(format!(
                    "the list at {} is out of date, or about other certificates",
                    shown(uri)
                )))),
                Err(failure) => failures.push(failure),
            }
        }
        None
    }

    fn keep_list(
        &self,
        key: Key,
        uri: &Uri,
        fetched: Result<Arc<List>, Failure>,
        now: SystemTime,
    ) -> Result<Arc<List>, Arc<Failure>> {
        let (cache, clock) = (&self.fetched_lists, Instant::now());
        let fail = |failure: Failure| {
            let failure = Arc::new(failure);
            cache.fail(key, Arc::clone(&failure), clock);
            failure
        };
        let list = fetched.map_err(fail)?;
        let is_fresh = now < list.next_update;
        cache.put(key, Arc::clone(&list), is_fresh, clock, |new, old| {
            new.is_before(old)
        });
        if !is_fresh {
            // It is kept for those that it says are revoked. A newer one is due, and is looked for sooner.
            fail(Failure::new(format!(
                "the list at {} is out of date",
                shown(uri)
            )));
        }
        Ok(list)
    }

    async fn fetch_list(
        &self,
        fetcher: &Fetcher,
        place: &Place<'_>,
        uri: &Uri,
        now: SystemTime,
    ) -> Result<Arc<List>, Failure> {
        let subject = &place.subject;
        let request = FetchRequest {
            method: Method::Crl,
            uri: uri.clone(),
            body: None,
            max_size: self.max_crl_size,
        };
        let bytes = fetcher.fetch(request).await?;
        let refused = |error: CrlError| {
            let failure = Failure::new(format!("the list at {} is not used", shown(uri)));
            failure.with_source(error)
        };
        let list = Arc::new(parse_off_thread(bytes).await.map_err(refused)?);
        list.check_issuer(subject, now).map_err(refused)?;
        if !place.issuer_may_sign() {
            return Err(refused(CrlError::may_not_sign()));
        }
        verify_off_thread(&list, subject, self.algorithms())
            .await
            .map_err(refused)?;
        Ok(list)
    }

    async fn ask_responder(
        &self,
        fetcher: &Fetcher,
        place: &Place<'_>,
        now: SystemTime,
        failures: &mut Vec<Arc<Failure>>,
    ) -> Option<Said> {
        let subject = &place.subject;
        if subject.ocsp_uris.is_empty() {
            return None;
        }
        let turn = self.answers.turn(&subject.key);
        // Never closed. Dropped with this future, it lets the next one ask.
        let _turn = turn.acquire().await;
        match self.answers.get(&subject.key, Instant::now()) {
            Cached::Fresh(answer) if answer.status(now).is_some() => {
                return place.answered(&answer, Method::Ocsp, now);
            }
            Cached::Failed(failure, _) => {
                failures.push(failure);
                return None;
            }
            Cached::Fresh(_) | Cached::Stale(_) | Cached::Nothing => {}
        }
        let mut last = None;
        for uri in &subject.ocsp_uris {
            match self.fetch_answer(fetcher, subject, uri, now).await {
                Ok(answer) => {
                    let said = place.answered(&answer, Method::Ocsp, now);
                    self.answers.put(
                        subject.key,
                        answer,
                        said.is_some(),
                        Instant::now(),
                        is_older,
                    );
                    if said.is_some() {
                        return said;
                    }
                    last = Some(Failure::new(format!(
                        "the responder at {} does not know the certificate",
                        shown(uri)
                    )));
                }
                Err(failure) => last = Some(failure),
            }
        }
        let failure = Arc::new(last?);
        self.answers
            .fail(subject.key, Arc::clone(&failure), Instant::now());
        failures.push(failure);
        None
    }

    async fn fetch_answer(
        &self,
        fetcher: &Fetcher,
        subject: &Subject,
        uri: &Uri,
        now: SystemTime,
    ) -> Result<Answer, Failure> {
        let refused = |error: ocsp::OcspError| {
            Failure::new(format!("the answer of {} does not count", shown(uri))).with_source(error)
        };
        let nonce = self.nonce.then(|| self.new_nonce()).transpose()?;
        let body = ocsp::request(subject, self.cert_id_hash, nonce.as_ref())
            .map_err(|error| refused(ocsp::OcspError::Request(error)))?;
        let request = FetchRequest {
            method: Method::Ocsp,
            uri: uri.clone(),
            body: Some(Bytes::from(body)),
            max_size: MAX_RESPONSE,
        };
        let response = fetcher.fetch(request).await?;
        let origin = Origin::Responder(nonce.as_ref());
        ocsp::read(&response, subject, origin, now, self.algorithms()).map_err(refused)
    }

    fn new_nonce(&self) -> Result<Nonce, Failure> {
        let mut nonce = Nonce::default();
        match self.crypto.secure_random.fill(&mut nonce) {
            Ok(()) => Ok(nonce),
            Err(_) => Err(Failure::new("the provider has no randomness for a nonce")),
        }
    }
}

fn list_key(subject: &Subject, uri: &Uri) -> Key {
    key(&[&subject.issuer, uri.to_string().as_bytes()])
}

fn is_older(new: &Answer, old: &Answer) -> bool {
    new.this_update < old.this_update
}

impl<'a> Place<'a> {
    fn new(chain: &'a Chain, position: usize) -> der::Result<Self> {
        Ok(Self {
            chain,
            position,
            subject: Subject::parse(&chain.links()[position])?,
        })
    }

    /// The usages of a trust anchor are not known: it is trusted with all of them.
    fn issuer_may_sign(&self) -> bool {
        self.chain
            .links()
            .get(self.position + 1)
            .is_none_or(|issuer| {
                Certificate::parse(issuer.certificate())
                    .and_then(|issuer| issuer.may_sign_lists())
                    .unwrap_or(false)
            })
    }

    fn listed(&self, listed: Listed, list: &List) -> Option<Said> {
        match listed {
            Listed::Silent => None,
            Listed::Revoked(revoked) => Some(Said::Revoked(revoked, Method::Crl)),
            Listed::Good => Some(Said::Good(Evidence {
                position: self.position,
                method: Method::Crl,
                this_update: list.this_update,
                next_update: Some(list.next_update),
            })),
        }
    }

    fn answered(&self, answer: &Answer, method: Method, now: SystemTime) -> Option<Said> {
        match answer.status(now)? {
            Status::Unknown => None,
            Status::Revoked(revoked) => Some(Said::Revoked(revoked.clone(), method)),
            Status::Good => Some(Said::Good(Evidence {
                position: self.position,
                method,
                this_update: answer.this_update,
                next_update: answer.next_update,
            })),
        }
    }

    fn refusal(&self, revoked: &Revoked, method: Method) -> Refusal {
        Refusal::revoked(format!("{self} was {revoked}, says {method}"))
    }

    fn unavailable(&self, failures: Vec<Arc<Failure>>) -> Refusal {
        let mut message = format!("it is not known whether {self} was revoked");
        if failures.is_empty() {
            message += ": nothing that is known or can be fetched speaks of it";
        }
        let mut refusal = Refusal::unavailable(message);
        // The method that was tried first is the one that should have worked.
        if let Some(failure) = failures.into_iter().next() {
            refusal = refusal.with_source(failure);
        }
        refusal
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.position {
            0 => "the peer's certificate",
            _ => "the intermediate certificate",
        };
        let (serial, issuer) = (
            self.subject.serial_text(),
            name_text(&self.subject.issuer_name),
        );
        write!(f, "{whose} {serial} of `{issuer}`")
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation")
            .field("methods", &self.0.methods)
            .field("scope", &self.0.scope)
            .field("on_unavailable", &self.0.on_unavailable)
            .field("lists", &self.0.lists)
            .finish_non_exhaustive()
    }
}
