//! A resolver within the process.

use std::{
    fmt,
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::{BoxError, ConfigError};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    lookup::Lookup as Found,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};
use tower_service::Service;

use super::{Answer, Name, system};

/// Asks the name servers itself, by the hickory-resolver crate, where [`SystemResolver`](super::SystemResolver) asks the system.
///
/// It takes no threads, its lookups stop when nobody waits for them, its answers say how long they hold, and IPv4 and IPv6 are looked up at
/// once, so that a connection need not wait for the slower. What it does not know is what the system has beside DNS and the hosts file:
/// mDNS, NSS modules, a VPN's routing of names. It remembers nothing: put a [`CacheLayer`](super::CacheLayer) around it.
///
/// The names of RFC 6761 do not leave the process, as with the system's. Needs Rust 1.88, as that crate does. Clones share the connections
/// to the name servers.
///
/// # Readiness and cancellation
///
/// Always ready. Dropping the future gives up the lookup.
///
/// # Errors
///
/// That of hickory, for IPv4 if neither family has an address.
///
/// ```
/// use bartizan_client::dns::{CacheLayer, HickoryResolver, Name};
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = HickoryResolver::try_with_servers(["127.0.0.1:53".parse()?])?;
/// let resolver = CacheLayer::new().layer(resolver);
/// let answer = resolver.oneshot("localhost".parse::<Name>()?).await.unwrap();
/// assert_eq!(answer.addresses().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HickoryResolver(Arc<TokioResolver>);

impl HickoryResolver {
    /// With the name servers, search list and hosts file of the system, read once.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn try_from_system() -> Result<Self, ConfigError> {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().cache_size = 0;
            builder.build()
        });
        resolver
            .map(|resolver| Self(Arc::new(resolver)))
            .map_err(|error| {
                let expected = "one that can be read, such as `/etc/resolv.conf`";
                ConfigError::new("the system's DNS configuration", "", expected).with_source(error)
            })
    }

    /// With these name servers, by UDP, and by TCP for what is too long for that; and the hosts file of the system.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_with_servers(
        servers: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Self, ConfigError> {
        let servers: Vec<_> = servers
            .into_iter()
            .map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            })
            .collect();
        let fail = || ConfigError::new("servers", "", "at least one name server");
        if servers.is_empty() {
            return Err(fail());
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().cache_size = 0;
        let resolver = builder.build().map_err(|error| fail().with_source(error))?;
        Ok(Self(Arc::new(resolver)))
    }
}

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HickoryResolver").finish_non_exhaustive()
    }
}

impl Service<Name> for HickoryResolver {
    type Response = Answer;
    type Error = BoxError;
    type Future = HickoryLookup;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> HickoryLookup {
        let resolver = Arc::clone(&self.0);
        HickoryLookup(Box::pin(async move {
            if let Some(special) = name.special() {
                return Ok(system::answer(special)?);
            }
            let (for_six, name_of_six) = (Arc::clone(&resolver), name.clone());
            let four = async move { answer(resolver.ipv4_lookup(name.as_str()).await) };
            let six = async move { answer(for_six.ipv6_lookup(name_of_six.as_str()).await) };
            first_of(Box::pin(four), Box::pin(six)).await
        }))
    }
}

type Family = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

fn answer(found: Result<Found, NetError>) -> Result<Answer, BoxError> {
    let found = found?;
    let records = found.answers();
    let addresses = records.iter().filter_map(|record| match record.data {
        RData::A(ip) => Some(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
        _ => None,
    });
    let answer = Answer::new(addresses);
    if answer.addresses.is_empty() {
        return Err("the name has no address of this family".into());
    }
    // Aliases on the way count too.
    let ttl = records.iter().map(|record| record.ttl).min();
    Ok(match ttl {
        Some(seconds) => answer.with_ttl(Duration::from_secs(seconds.into())),
        None => answer,
    })
}

/// The answer that comes first, with the other as its rest. If the first fails, the other alone.
async fn first_of(mut four: Family, mut six: Family) -> Result<Answer, BoxError> {
    let (first, is_six) = poll_fn(|cx| {
        // What is preferred is polled first.
        if let Poll::Ready(answer) = six.as_mut().poll(cx) {
            return Poll::Ready((answer, true));
        }
        four.as_mut().poll(cx).map(|answer| (answer, false))
    })
    .await;
    match (first, is_six) {
        (Ok(answer), true) => Ok(answer.with_rest(four)),
        (Ok(answer), false) => Ok(answer.with_rest(six)),
        // Most names without IPv6 exist: what is wrong with IPv4 says more.
        (Err(_), true) => four.await,
        (Err(error), false) => six.await.map_err(|_| error),
    }
}

/// The lookup of a [`HickoryResolver`].
#[must_use = "futures do nothing unless polled"]
pub struct HickoryLookup(Family);

impl Future for HickoryLookup {
    type Output = Result<Answer, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for HickoryLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HickoryLookup").finish_non_exhaustive()
    }
}
