//! The resolver of the system.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::Semaphore;
use tower_service::Service;

use super::{Answer, Name, name::Special};

/// The resolver of the system, `getaddrinfo`: the hosts file, search lists, and whatever else this machine is set up with.
///
/// The names of RFC 6761 do not reach it, as it may send them to a name server, which may answer anything: `localhost` and what is below
/// it is this machine (section 6.3), and what is below `.invalid` is nowhere (section 6.4). Clones share the limit on lookups.
///
/// # Readiness and cancellation
///
/// Always ready. A lookup takes a thread of the runtime's blocking pool, and cannot be stopped: after its caller has gone it ends on its
/// own, and counts against the limit until then.
///
/// # Errors
///
/// The system's [`io::Error`], or one of kind [`NotFound`](io::ErrorKind::NotFound) where there is no address.
///
/// ```
/// use bartizan_client::dns::{Name, SystemResolver};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let ask = |name: &str| SystemResolver::new().oneshot(name.parse::<Name>().unwrap());
/// assert!(ask("app.localhost").await.unwrap().addresses().iter().all(|ip| ip.is_loopback()));
/// assert!(ask("app.invalid").await.is_err());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SystemResolver(Arc<Semaphore>);

impl SystemResolver {
    /// With up to 64 lookups at once.
    ///
    /// A name server that does not answer holds each for 5 s and more. Without a limit they would take the 512 threads on which the
    /// runtime reads files, too.
    pub fn new() -> Self {
        const DEFAULT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");
        Self::with_max_lookups(DEFAULT)
    }

    /// With up to so many lookups at once; others wait.
    pub fn with_max_lookups(lookups: NonZeroUsize) -> Self {
        Self(Arc::new(Semaphore::new(
            lookups.get().min(Semaphore::MAX_PERMITS),
        )))
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Service<Name> for SystemResolver {
    type Response = Answer;
    type Error = io::Error;
    type Future = SystemLookup;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> SystemLookup {
        let lookups = Arc::clone(&self.0);
        SystemLookup(Box::pin(async move {
            if let Some(special) = name.special() {
                return answer(special);
            }
            let permit = lookups
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let lookup = tokio::task::spawn_blocking(move || {
                // With the thread, not with whoever waits for it.
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                io::Result::Ok(found.map(|address| address.ip()).collect::<Vec<_>>())
            });
            let addresses = lookup.await.map_err(io::Error::other)??;
            if addresses.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the name has no address",
                ));
            }
            Ok(Answer::new(addresses))
        }))
    }
}

/// The answer that RFC 6761 gives for a name of its own.
pub(crate) fn answer(special: Special) -> io::Result<Answer> {
    match special {
        // In the order of RFC 6724. If nothing listens on the first, the other is tried at once.
        Special::Localhost => Ok(Answer::new([
            IpAddr::from(Ipv6Addr::LOCALHOST),
            IpAddr::from(Ipv4Addr::LOCALHOST),
        ])),
        Special::Invalid => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "names under .invalid never resolve (RFC 6761 section 6.4)",
        )),
    }
}

/// The lookup of a [`SystemResolver`].
#[must_use = "futures do nothing unless polled"]
pub struct SystemLookup(Pin<Box<dyn Future<Output = io::Result<Answer>> + Send>>);

impl Future for SystemLookup {
    type Output = io::Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for SystemLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemLookup").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_loopback_of_both_families() {
        let name = "app.localhost".parse().expect("a name");
        let answer = SystemResolver::new().call(name).await.expect("addresses");
        assert_eq!(
            answer.addresses(),
            [
                IpAddr::from(Ipv6Addr::LOCALHOST),
                IpAddr::from(Ipv4Addr::LOCALHOST)
            ]
        );
    }

    #[tokio::test]
    async fn invalid_is_nowhere_without_a_lookup() {
        // All lookups are taken, so one that was made would wait for ever.
        let resolver = SystemResolver::with_max_lookups(NonZeroUsize::MIN);
        let _taken = resolver.0.acquire().await.expect("open");
        let name = "x.invalid".parse().expect("a name");
        let error = resolver.clone().call(name).await.expect_err("nowhere");
        assert!(error.to_string().contains("RFC 6761"), "{error}");
    }
}
