//! The classification of HTTP calls by status.

use std::{
    any::Any,
    error::Error,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Response, StatusCode, header};

use crate::{
    Classify, Clock, IntactBody, Outcome, Rejection, StatusSet, Verdict,
    clock::SharedClock,
    error::{See, find, see, see_boxed},
};

/// Classifies HTTP calls: by status at the head, and by whether the body arrived at its end.
///
/// | what came | outcome |
/// |---|---|
/// | a status in [`failures`](Self::failures) (every 5xx) | [`Failure`](Outcome::Failure) |
/// | a status in [`throttled`](Self::throttled) (429) | [`Throttled`](Outcome::Throttled), with the delay of `Retry-After` |
/// | another status, and then all of its body | [`Success`](Outcome::Success) |
/// | another status, and then half of its body | [`Failure`](Outcome::Failure) |
/// | an error: no route, no connection, a reset, a time limit | [`Failure`](Outcome::Failure) |
/// | a [`Rejection`] by a layer before the call was sent | [`Ignored`](Outcome::Ignored): it says nothing of the peer |
///
/// 4xx are successes: the peer did its work, and the caller's mistake is not the peer's failure.
///
/// ```
/// use bartizan_core::{BoxError, Classify, HttpClassify, Outcome, StatusSet};
/// use http::{Request, Response};
///
/// let classify = HttpClassify::new().failures(StatusSet::range(502, 504));
/// let judge = |status: u16| {
///     let response = Response::builder().status(status).body(()).unwrap();
///     Classify::<Request<()>, _, BoxError>::head(&classify, (), Ok(&response)).so_far()
/// };
/// assert_eq!(judge(502), Outcome::Failure);
/// assert_eq!(judge(500), Outcome::Success);
/// assert_eq!(judge(429), Outcome::Throttled { retry_after: None });
/// ```
#[derive(Clone, Debug)]
pub struct HttpClassify {
    failures: StatusSet,
    throttled: StatusSet,
    clock: SharedClock,
    errors: Vec<See>,
}

impl HttpClassify {
    /// 5xx fail and 429 throttles.
    pub fn new() -> Self {
        Self {
            failures: StatusSet::SERVER_ERRORS,
            throttled: StatusSet::EMPTY.with(StatusCode::TOO_MANY_REQUESTS),
            clock: SharedClock::new(crate::SystemClock),
            errors: vec![see_boxed, see::<Rejection>],
        }
    }

    /// Sets which statuses are failures. Default: every 5xx.
    #[must_use]
    pub const fn failures(mut self, statuses: StatusSet) -> Self {
        self.failures = statuses;
        self
    }

    /// Sets which statuses ask for less load, unless they are failures already. Default: 429.
    #[must_use]
    pub const fn throttled(mut self, statuses: StatusSet) -> Self {
        self.throttled = statuses;
        self
    }

    /// Sets the clock that turns a date in `Retry-After` into a delay. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// Looks for a [`Rejection`] in errors of type `E` too: an error of yours that can be made from one, or that of
    /// `bartizan-client`. `BoxError` and `Rejection` itself are looked into anyway. In any other type a rejection is not seen, and
    /// counts as a failure of the peer.
    #[must_use]
    pub fn look_into<E: Error + 'static>(mut self) -> Self {
        self.errors.push(see::<E>);
        self
    }

    fn rejection<'a>(&self, error: &'a dyn Any) -> Option<&'a Rejection> {
        self.errors.iter().find_map(|see| see(error)).and_then(find)
    }
}

impl Default for HttpClassify {
    fn default() -> Self {
        Self::new()
    }
}

impl<Req, B, E: 'static> Classify<Req, Response<B>, E> for HttpClassify {
    type Seen = ();
    type Rest = IntactBody;

    fn request(&self, _: &Req) -> Self::Seen {}

    fn head(&self, (): Self::Seen, result: Result<&Response<B>, &E>) -> Verdict {
        match result {
            Ok(response) if self.failures.contains(response.status()) => {
                Verdict::Now(Outcome::Failure)
            }
            Ok(response) if self.throttled.contains(response.status()) => {
                Verdict::Now(Outcome::Throttled {
                    retry_after: retry_after(response.headers(), || self.clock.now()),
                })
            }
            Ok(_) => Verdict::AtEnd(IntactBody(Outcome::Success)),
            Err(error) => Verdict::Now(match self.rejection(error) {
                Some(rejection) if rejection.is_unsent() => Outcome::Ignored,
                _ => Outcome::Failure,
            }),
        }
    }
}

/// The delay of `Retry-After` (RFC 9110 section 10.2.3), in seconds or as a date. A date that has passed is no delay.
fn retry_after(headers: &HeaderMap, now: impl Fn() -> SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    // `parse` would take a leading plus, which the grammar has not.
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, delay) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("+1", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().expect("a header value"));
            assert_eq!(
                retry_after(&headers, now),
                delay.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
