//! One line of a probe's script.

use std::time::Duration;

use bartizan_core::BoxError;

/// How a [`Probe`](crate::Probe) answers one call: with what, and when.
///
/// ```
/// use bartizan_testing::{ProbeError, Step};
/// use std::time::Duration;
///
/// let script: [Step<&str>; 4] = [
///     Step::fail(ProbeError::new("connection refused")),
///     Step::respond("late").after(Duration::from_secs(2)),
///     Step::respond("when the test says so").when_released(),
///     Step::pending(),
/// ];
/// # assert_eq!(script.len(), 4);
/// ```
#[derive(Debug)]
pub struct Step<Res> {
    pub(crate) when: When,
    /// `None` never answers.
    pub(crate) answer: Option<Result<Res, BoxError>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    AtOnce,
    After(Duration),
    Released,
}

impl<Res> Step<Res> {
    /// Answers with `response`, at once.
    pub const fn respond(response: Res) -> Self {
        Self {
            when: When::AtOnce,
            answer: Some(Ok(response)),
        }
    }

    /// Fails with `error`, at once.
    pub fn fail(error: impl Into<BoxError>) -> Self {
        Self {
            when: When::AtOnce,
            answer: Some(Err(error.into())),
        }
    }

    /// Never answers. The call ends when the layer drops it.
    pub const fn pending() -> Self {
        Self {
            when: When::AtOnce,
            answer: None,
        }
    }

    /// Answers only when this much of tokio's time has passed since the call, paused time included.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self {
            when: When::After(delay),
            ..self
        }
    }

    /// Answers only when [`ProbeHandle::release`](crate::ProbeHandle::release) is called after the call was made.
    #[must_use]
    pub fn when_released(self) -> Self {
        Self {
            when: When::Released,
            ..self
        }
    }
}
