//! What each target did.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use bartizan_core::BoxError;

/// One target, asked once.
#[derive(Clone, Debug)]
pub struct Attempt {
    target: usize,
    name: String,
    end: AttemptEnd,
    waited: Duration,
}

#[derive(Clone, Debug)]
enum AttemptEnd {
    Answer,
    Fault(Cow<'static, str>),
    Error(Arc<dyn Error + Send + Sync>),
}

impl Attempt {
    fn new(target: usize, name: &str, waited: Duration, end: AttemptEnd) -> Self {
        Self {
            target,
            name: name.to_owned(),
            end,
            waited,
        }
    }

    pub(super) fn answer(target: usize, name: &str, waited: Duration) -> Self {
        Self::new(target, name, waited, AttemptEnd::Answer)
    }

    pub(super) fn faulted(
        target: usize,
        name: &str,
        waited: Duration,
        fault: Cow<'static, str>,
    ) -> Self {
        Self::new(target, name, waited, AttemptEnd::Fault(fault))
    }

    pub(super) fn failed(target: usize, name: &str, waited: Duration, error: BoxError) -> Self {
        Self::new(target, name, waited, AttemptEnd::Error(error.into()))
    }

    /// The target's index, in the order in which the targets were given.
    pub const fn target(&self) -> usize {
        self.target
    }

    /// The target's name: for HTTP, its URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the call waited for it, once it had to.
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether this target's response is the one that the caller got for an answer.
    pub const fn is_answer(&self) -> bool {
        matches!(self.end, AttemptEnd::Answer)
    }

    /// Why its response was no answer, if it did respond: `503 Service Unavailable`.
    pub fn fault(&self) -> Option<&str> {
        match &self.end {
            AttemptEnd::Fault(fault) => Some(fault),
            AttemptEnd::Answer | AttemptEnd::Error(_) => None,
        }
    }

    /// The error, if there was no response.
    pub fn error(&self) -> Option<&(dyn Error + 'static)> {
        match &self.end {
            AttemptEnd::Error(error) => Some(&**error),
            AttemptEnd::Answer | AttemptEnd::Fault(_) => None,
        }
    }
}

/// `target 1 (http://b): timeout: no response in the time allowed: the limit is 5s, after 5.0s`: an error with all its sources,
/// because a list of attempts has no other place for them.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target {} ({}): ", self.target, self.name)?;
        match &self.end {
            AttemptEnd::Answer => f.write_str("answered")?,
            AttemptEnd::Fault(fault) => f.write_str(fault)?,
            AttemptEnd::Error(error) => {
                write!(f, "{error}")?;
                let sources = std::iter::successors(error.source(), |&error| error.source());
                for source in sources {
                    write!(f, ": {source}")?;
                }
            }
        }
        match self.waited {
            Duration::ZERO => f.write_str(", at once"),
            waited => write!(f, ", after {waited:.1?}"),
        }
    }
}

/// What each target that was asked did, in the order in which they were asked.
///
/// In the extensions of a response that was not the first target's, and in [`Exhausted`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Report {
    attempts: Arc<[Attempt]>,
}

impl Report {
    pub(super) fn new(attempts: Vec<Attempt>) -> Self {
        Self {
            attempts: attempts.into(),
        }
    }

    /// One entry for each target that was asked. Never empty.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attempt) in self.attempts.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{attempt}")?;
        }
        Ok(())
    }
}

/// No target answered. The source of the [`Rejection`](bartizan_core::Rejection); its own source is the last target's error.
#[derive(Debug)]
pub struct Exhausted {
    report: Report,
    unreplayable: bool,
}

impl Exhausted {
    pub(super) const fn new(report: Report, unreplayable: bool) -> Self {
        Self {
            report,
            unreplayable,
        }
    }

    /// What each target did.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Whether targets were left unasked because the request could be sent only once.
    pub const fn is_unreplayable(&self) -> bool {
        self.unreplayable
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unreplayable {
            write!(
                f,
                "the request can be sent only once, so no other target was asked ({}); \
                 make it one that can be copied (over HTTP: one whose body is whole, not a stream) to have the others asked too",
                self.report
            )
        } else {
            write!(f, "no target answered ({})", self.report)
        }
    }
}

impl Error for Exhausted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.report.attempts.last().and_then(Attempt::error)
    }
}
