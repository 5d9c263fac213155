//! Asking those who have to be asked: after the handshake, one at a time for each thing.

use std::{sync::Arc, time::SystemTime};

use tokio::time::Instant;

use super::{
    FetchRequest, Method,
    cache::Cached,
    crl::{CrlError, List, parse_off_thread, verify_off_thread},
    engine::{Inner, Known, is_older},
    fetch::{Failure, Fetcher, shown},
    ocsp::{self, Answer, Nonce, Origin, Question},
    place::{Place, Said},
    subject::{Source, Subject},
};

impl Inner {
    /// Finds out, by what is known and then by each method in turn.
    pub(super) async fn ask(
        &self,
        place: &Place<'_>,
        now: SystemTime,
    ) -> Result<Said, Vec<Arc<Failure>>> {
        let mut known = self.known(place, now);
        if let (Known::Stale(_) | Known::Nothing, Some(lists)) = (&known, &self.lists) {
            if self.uses(Method::Crl) && lists.settle(place.subject, place.issuer_may_sign()).await
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
        let subject = place.subject;
        for source in &subject.lists {
            let turn = self.fetched_lists.turn(&source.key);
            // Never closed. Dropped with this future, it lets the next one fetch.
            let _turn = turn.acquire().await;
            let list = match self.fetched_lists.get(&source.key, Instant::now()) {
                Cached::Fresh(list) if now < list.next_update => Ok(list),
                Cached::Failed(failure, _) => Err(failure),
                Cached::Fresh(_) | Cached::Stale(_) | Cached::Nothing => {
                    let fetched = self.fetch_list(fetcher, place, source, now).await;
                    self.keep_list(source, fetched, now)
                }
            };
            match list.map(|list| place.listed(list.says(subject, now), &list)) {
                Ok(Some(said)) => return Some(said),
                Ok(None) => failures.push(Arc::new(Failure::new(format!(
                    "the list at {} is out of date, or about other certificates",
                    shown(&source.uri)
                )))),
                Err(failure) => failures.push(failure),
            }
        }
        None
    }

    fn keep_list(
        &self,
        source: &Source,
        fetched: Result<Arc<List>, Failure>,
        now: SystemTime,
    ) -> Result<Arc<List>, Arc<Failure>> {
        let (cache, clock) = (&self.fetched_lists, Instant::now());
        let fail = |failure: Failure| {
            let failure = Arc::new(failure);
            cache.fail(source.key, Arc::clone(&failure), clock);
            failure
        };
        let list = fetched.map_err(fail)?;
        let is_fresh = now < list.next_update;
        let list = cache.put(source.key, list, is_fresh, clock, |new, old| {
            new.is_before(old)
        });
        if !is_fresh {
            // It is kept for those that it says are revoked. A newer one is due, and is looked for sooner.
            fail(Failure::new(format!(
                "the list at {} is out of date",
                shown(&source.uri)
            )));
        }
        Ok(list)
    }

    async fn fetch_list(
        &self,
        fetcher: &Fetcher,
        place: &Place<'_>,
        source: &Source,
        now: SystemTime,
    ) -> Result<Arc<List>, Failure> {
        let (subject, uri) = (place.subject, &source.uri);
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
        let subject = place.subject;
        if subject.responders.is_empty() {
            return None;
        }
        let turn = self.answers.turn(&subject.key);
        // Never closed. Dropped with this future, it lets the next one ask.
        let _turn = turn.acquire().await;
        if let Cached::Fresh(answer) = self.answers.get(&subject.key, Instant::now()) {
            if answer.status(now).is_some() {
                return place.answered(&answer, Method::Ocsp, now);
            }
        }
        for responder in &subject.responders {
            // Each responder's failure for itself: whoever waits may have no time for more than one, and the next one goes on from there.
            if let Cached::Failed(failure, _) = self.answers.get(&responder.key, Instant::now()) {
                failures.push(failure);
                continue;
            }
            let failure = match self.fetch_answer(fetcher, subject, responder, now).await {
                Ok(answer) => {
                    let is_known = place.answered(&answer, Method::Ocsp, now).is_some();
                    let clock = Instant::now();
                    let answer = self
                        .answers
                        .put(subject.key, answer, is_known, clock, is_older);
                    if let Some(said) = place.answered(&answer, Method::Ocsp, now) {
                        return Some(said);
                    }
                    Failure::new(format!(
                        "the responder at {} does not know the certificate",
                        shown(&responder.uri)
                    ))
                }
                Err(failure) => failure,
            };
            let failure = Arc::new(failure);
            self.answers
                .fail(responder.key, Arc::clone(&failure), Instant::now());
            failures.push(failure);
        }
        None
    }

    async fn fetch_answer(
        &self,
        fetcher: &Fetcher,
        subject: &Subject,
        responder: &Source,
        now: SystemTime,
    ) -> Result<Answer, Failure> {
        let question = Question {
            hash: self.cert_id_hash,
            nonce: self.nonce.then(|| self.new_nonce()).transpose()?,
        };
        let response = question.put(fetcher, subject, &responder.uri).await?;
        let origin = Origin::Responder(question.nonce.as_ref());
        ocsp::read(&response, subject, origin, now, self.algorithms())
            .map_err(|error| ocsp::does_not_count(&responder.uri, error))
    }

    fn new_nonce(&self) -> Result<Nonce, Failure> {
        let mut nonce = Nonce::default();
        match self.crypto.secure_random.fill(&mut nonce) {
            Ok(()) => Ok(nonce),
            Err(_) => Err(Failure::new("the provider has no randomness for a nonce")),
        }
    }
}
