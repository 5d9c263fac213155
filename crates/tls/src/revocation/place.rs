//! A certificate in its chain, and what is said about it.

use std::{fmt, sync::Arc, time::SystemTime};

use super::{
    Evidence, Method, Refusal,
    crl::{List, Listed},
    evidence::Revoked,
    fetch::Failure,
    ocsp::{Answer, Status},
    subject::{Subject, name_text},
};
use crate::Chain;

/// What one source says.
pub(super) enum Said {
    Good(Evidence),
    Revoked(Revoked, Method),
}

/// A certificate, and where in its path it stands.
pub(super) struct Place<'a> {
    chain: &'a Chain,
    position: usize,
    pub(super) subject: &'a Subject,
}

impl<'a> Place<'a> {
    pub(super) fn new(chain: &'a Chain, position: usize) -> Result<Self, &'a der::Error> {
        Ok(Self {
            chain,
            position,
            subject: chain.links()[position].subject()?,
        })
    }

    /// The usages of a trust anchor are not known: it is trusted with all of them.
    pub(super) fn issuer_may_sign(&self) -> bool {
        self.chain
            .links()
            .get(self.position + 1)
            .is_none_or(|issuer| issuer.subject().is_ok_and(|issuer| issuer.may_sign_lists))
    }

    pub(super) fn listed(&self, listed: Listed, list: &List) -> Option<Said> {
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

    pub(super) fn answered(
        &self,
        answer: &Answer,
        method: Method,
        now: SystemTime,
    ) -> Option<Said> {
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

    pub(super) fn refusal(&self, revoked: &Revoked, method: Method) -> Refusal {
        Refusal::revoked(format!("{self} was {revoked}, says {method}"))
    }

    pub(super) fn unavailable(&self, failures: Vec<Arc<Failure>>) -> Refusal {
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
