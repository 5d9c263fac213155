//! What a resolver answers.

use std::{fmt, future::Future, net::IpAddr, pin::Pin, time::Duration};

use bartizan_core::BoxError;

/// The addresses of a name, as far as they are known: what a resolver answers.
///
/// A resolver that asks for IPv4 and IPv6 separately answers as soon as it has one of them, with the other as the [rest](Self::with_rest),
/// so that connecting need not wait for the slower (RFC 8305 section 3).
pub struct Answer {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) rest: Option<Rest>,
}

pub(crate) type Rest = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

impl Answer {
    /// The addresses, those to try first coming first: the order of RFC 6724, if the resolver knows it.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            ttl: None,
            rest: None,
        }
    }

    /// Sets how long the addresses hold. Default: not known, so that a cache decides.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds what is still being looked up: the addresses of the other family. If it fails, those that are known stand.
    #[must_use]
    pub fn with_rest(
        mut self,
        rest: impl Future<Output = Result<Self, BoxError>> + Send + 'static,
    ) -> Self {
        self.rest = Some(Box::pin(rest));
        self
    }

    /// The addresses that are known.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// How long they hold, if that is known.
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Waits for the rest, and returns all of it with the shortest time that holds. It fails only if there is no address at all.
    ///
    /// # Errors
    ///
    /// That of the resolver.
    pub async fn complete(mut self) -> Result<Self, BoxError> {
        while let Some(rest) = self.rest.take() {
            match rest.await {
                Ok(more) => self.extend(more),
                Err(error) if self.addresses.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(self)
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.addresses.extend(more.addresses);
        self.ttl = match (self.ttl, more.ttl) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.rest = more.rest;
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("addresses", &self.addresses)
            .field("ttl", &self.ttl)
            .field("is_complete", &self.rest.is_none())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::ready;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn the_whole_holds_as_long_as_its_shortest_part() {
        let six = Answer::new([ip("::1")]).with_ttl(S(3));
        let answer = Answer::new([ip("127.0.0.1")])
            .with_ttl(S(9))
            .with_rest(ready(Ok(six)));
        let whole = answer.complete().await.expect("an answer");
        assert_eq!(whole.addresses(), [ip("127.0.0.1"), ip("::1")]);
        assert_eq!(whole.ttl(), Some(S(3)));
    }

    #[tokio::test]
    async fn a_rest_that_fails_matters_only_if_there_is_nothing_else() {
        let answer = Answer::new([ip("::1")]).with_rest(ready(Err("no A".into())));
        assert_eq!(
            answer.complete().await.expect("one").addresses(),
            [ip("::1")]
        );
        let answer = Answer::new([]).with_rest(ready(Err("no A".into())));
        let error = answer.complete().await.expect_err("nothing");
        assert_eq!(error.to_string(), "no A");
    }
}
