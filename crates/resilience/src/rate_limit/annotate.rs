//! What the response says of the limit.

use super::quota::Decision;

/// Writes into a response where its caller stands.
pub trait Annotate<Res> {
    /// Writes `decision` into `response`.
    fn annotate(&self, decision: &Decision, response: &mut Res);
}

/// Writes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<Res> Annotate<Res> for Plain {
    fn annotate(&self, _: &Decision, _: &mut Res) {}
}

#[cfg(feature = "http")]
pub use self::http::RateLimitHeaders;

#[cfg(feature = "http")]
mod http {
    use std::{sync::Arc, time::Duration};

    use http::{HeaderName, HeaderValue, Response, header::RETRY_AFTER};

    use super::Annotate;
    use crate::rate_limit::quota::{Decision, Quota};

    const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
    const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

    /// What `.headers()` of a layer sets: the fields `RateLimit-Policy` and `RateLimit`, as in draft-ietf-httpapi-ratelimit-headers-11,
    /// on every response that was limited, and `Retry-After` (RFC 9110 section 10.2.3) on those that were refused.
    ///
    /// ```text
    /// RateLimit-Policy: "default";q=100;w=60
    /// RateLimit: "default";r=42;t=1
    /// ```
    ///
    /// `q` and `w` are the limit and its period in seconds; `w` is left out if they are not whole. `r` is how many calls could come at
    /// once, and `t` is the time within which there can be no more than those: the seconds, rounded up, until one more could come. The
    /// quota comes back bit by bit, so this is short, and on a response that was refused it is what `Retry-After` says, which the draft
    /// wants to be no earlier. What another limit wrote is kept; the fields are lists, and the names tell the entries apart. Each
    /// response costs an allocation.
    #[derive(Clone, Debug)]
    pub struct RateLimitHeaders {
        name: Arc<str>,
        quota: Quota,
        policy: HeaderValue,
    }

    impl RateLimitHeaders {
        /// `name` has been checked.
        pub(in crate::rate_limit) fn new(name: &str, quota: &Quota) -> Self {
            let mut policy = format!("\"{name}\";q={}", quota.limit());
            if quota.per().subsec_nanos() == 0 {
                policy += &format!(";w={}", quota.per().as_secs());
            }
            Self {
                name: name.into(),
                quota: *quota,
                policy: HeaderValue::try_from(policy).expect("printable ASCII"),
            }
        }

        /// Until one more could come than could come now.
        fn more_after(&self, decision: &Decision) -> Duration {
            decision.retry_after().unwrap_or_else(|| {
                let used = self.quota.burst().saturating_sub(decision.remaining());
                let others = self.quota.interval().saturating_mul(used.saturating_sub(1));
                decision.full_after().saturating_sub(others)
            })
        }
    }

    impl<B> Annotate<Response<B>> for RateLimitHeaders {
        fn annotate(&self, decision: &Decision, response: &mut Response<B>) {
            let left = format!(
                "\"{}\";r={};t={}",
                self.name,
                decision.remaining(),
                ceil_seconds(self.more_after(decision)),
            );
            let headers = response.headers_mut();
            headers.append(RATE_LIMIT_POLICY, self.policy.clone());
            headers.append(
                RATE_LIMIT,
                HeaderValue::try_from(left).expect("printable ASCII"),
            );
            if let Some(delay) = decision.retry_after() {
                headers
                    .entry(RETRY_AFTER)
                    .or_insert_with(|| HeaderValue::from(ceil_seconds(delay)));
            }
        }
    }

    fn ceil_seconds(delay: Duration) -> u64 {
        delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
    }
}
