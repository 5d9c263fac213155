//! Puts staples, lists and responders together.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use rustls::crypto::CryptoProvider;
use tokio::time::Instant;

use super::{
    CertIdHash, CrlIndex, Engine, Evidence, Method, OnUnavailable, Refusal, RevocationBuilder,
    Scope, Verdict,
    cache::{Cache, Cached},
    crl::List,
    evidence::Revoked,
    fetch::Fetcher,
    ocsp::{self, Answer, Origin, Status},
    place::{Place, Said},
};
use crate::{Chain, Provider, x509::signed::Algorithms};

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

/// What is known without asking anybody.
pub(super) enum Known {
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

    pub(super) fn uses(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }

    pub(super) fn algorithms(&self) -> Algorithms {
        self.crypto.signature_verification_algorithms.all
    }

    /// Verifies the staple and keeps what it says.
    fn take_staple(
        &self,
        place: &Place<'_>,
        staple: &[u8],
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let subject = place.subject;
        let is_promised = self.must_staple && subject.must_staple;
        if !is_promised && (staple.is_empty() || !self.uses(Method::Staple)) {
            return Ok(());
        }
        if staple.is_empty() {
            return Err(Refusal::must_staple(format!(
                "{place} promises a staple, and the server sent none"
            )));
        }
        let why = match ocsp::read(staple, subject, Origin::Staple, now, self.algorithms()) {
            Err(error) => Some(error),
            Ok(answer) => {
                let clock = Instant::now();
                let answer = self.staples.put(subject.key, answer, true, clock, is_older);
                match answer.status(now) {
                    Some(Status::Good) => return Ok(()),
                    Some(Status::Revoked(revoked)) => {
                        return Err(place.refusal(revoked, Method::Staple));
                    }
                    Some(Status::Unknown) | None => None,
                }
            }
        };
        if is_promised {
            let refusal = Refusal::must_staple(format!(
                "{place} promises a staple, and that of the server does not count"
            ));
            return Err(match why {
                Some(error) => refusal.with_source(error),
                None => refusal,
            });
        }
        if let Some(error) = why {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the staple does not count"
            );
        }
        Ok(())
    }

    /// What is known without asking anybody. That it was revoked outweighs all else, whoever says so.
    pub(super) fn known(&self, place: &Place<'_>, now: SystemTime) -> Known {
        let (subject, clock) = (place.subject, Instant::now());
        let mut known = Known::Nothing;
        if self.uses(Method::Crl) {
            if let Some((listed, list)) = self
                .lists
                .as_ref()
                .and_then(|lists| lists.says(subject, now))
            {
                known.add(place.listed(listed, &list), true);
            }
            for source in &subject.lists {
                let cached = self.fetched_lists.get(&source.key, clock);
                let is_fresh = matches!(cached, Cached::Fresh(_));
                if let Some(list) = cached.value() {
                    known.add(place.listed(list.says(subject, now), &list), is_fresh);
                }
            }
        }
        // A staple counts as long as it says, in a handshake and so in those that resume it. One that nobody asked for was looked at
        // because it was promised, and counts only against the peer.
        if let Some(answer) = self.staples.get(&subject.key, clock).value() {
            let said = place.answered(&answer, Method::Staple, now);
            if self.uses(Method::Staple) || matches!(said, Some(Said::Revoked(..))) {
                known.add(said, true);
            }
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
                .with_source(*error),
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
}

pub(super) fn is_older(new: &Answer, old: &Answer) -> bool {
    new.this_update < old.this_update
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
