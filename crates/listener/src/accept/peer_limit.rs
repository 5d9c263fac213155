//! So many connections at once from one peer.
//!
//! One client that opens thousands of connections takes the places of all the others. A peer is an address, or a network: whoever
//! has an IPv6 address mostly has a whole /64 of them, and so that counts as one.
//!
//! # Placement
//!
//! It is a layer of an accept stream, where it refuses before anything is read. It is also a handshake, to be put after the
//! [PROXY protocol](crate::proxy_protocol): there it counts [clients](crate::ConnectInfo::client), and not the proxy, which would
//! otherwise be one peer with all the connections.
//!
//! Peers without an IP address, on Unix sockets and within the process, are not limited.
//!
//! # State
//!
//! One table for the value and its clones. It has an entry for each peer that has a connection, so its size is bounded by the number
//! of connections: a [`ConnectionLimit`](crate::ConnectionLimit) bounds that.
//!
//! # Readiness and cancellation
//!
//! Always ready. The place belongs to the transport ([`Guarded`]) and is given back when that is dropped, wherever it is by then.
//!
//! # Errors
//!
//! [`Refusal::PeerFull`], of one connection. The peer is not told: a response would cost more than what is refused.
//!
//! # Differences from nginx' `limit_conn`
//!
//! That one counts connections with a request in progress. Here idle ones count, which are what a slow attack is made of.
//!
//! # Examples
//!
//! ```
//! use bartizan_listener::{Accept, Address, PeerLimit, Refusal, accept::Accepted, AcceptError, ConnectInfo};
//! use std::{net::SocketAddr, task::{Context, Poll, Waker}};
//! use tower::Layer;
//!
//! /// Somebody who connects again and again, from addresses of one network.
//! struct Flood(u16);
//!
//! impl Accept for Flood {
//!     type Io = ();
//!
//!     fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<Result<Accepted<()>, AcceptError>> {
//!         self.0 += 1;
//!         let peer = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, self.0], 4711));
//!         Poll::Ready(Ok(Accepted::new((), ConnectInfo::new(Address::Memory, peer.into()))))
//!     }
//! }
//!
//! let mut limited = PeerLimit::new(2).layer(Flood(0));
//! let mut cx = Context::from_waker(Waker::noop());
//! let (one, _two) = (limited.poll_accept(&mut cx), limited.poll_accept(&mut cx));
//! let Poll::Ready(Err(refused)) = limited.poll_accept(&mut cx) else { panic!("two is the limit") };
//! assert_eq!(refused.refusal().unwrap().0, Refusal::PeerFull);
//!
//! drop(one);
//! assert!(matches!(limited.poll_accept(&mut cx), Poll::Ready(Ok(_))));
//! ```
//!
//! Behind a load balancer:
//!
//! ```
//! use bartizan_listener::{Listener, PeerLimit, ProxyProtocol};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1:0")
//!     .await?
//!     // First who it is, then how many connections it has.
//!     .proxy_protocol(ProxyProtocol::trusting(["10.0.0.0/8".parse()?]))
//!     .handshake(PeerLimit::new(100).try_prefixes(32, 56)?);
//! # assert_ne!(listener.local_addr().port(), 0);
//! # Ok(())
//! # }
//! ```

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::{Ready, ready},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bartizan_core::ConfigError;
use tower_layer::Layer;
use tower_service::Service;

use super::{Accept, AcceptError, Accepted, Guarded, Refusal};
use crate::Address;

/// Limits the connections of each peer. See the [module](self). Clones are the same limit.
#[derive(Clone)]
pub struct PeerLimit {
    table: Arc<Table>,
    max: usize,
    /// Bits of an address that tell peers apart.
    v4: u8,
    v6: u8,
}

#[derive(Debug, Default)]
struct Table(Mutex<HashMap<IpAddr, usize>>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing that runs under the lock can leave a count half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerLimit {
    /// At most `max` connections from each IPv4 address, and from each /64 of IPv6. Zero refuses everybody with an IP address.
    pub fn new(max: usize) -> Self {
        Self {
            table: Arc::default(),
            max,
            v4: 32,
            v6: 64,
        }
    }

    /// Counts all of a network as one peer: the first `v4` bits of an IPv4 address tell them apart, and the first `v6` of an IPv6 one.
    ///
    /// The defaults are 32, a single address, because networks behind one IPv4 address are large already; and 64, the least that a
    /// site is given (RFC 6177). With 56 or 48, customers of hosters who have been given more are one peer, too.
    ///
    /// # Errors
    ///
    /// If an address does not have so many bits.
    pub fn try_prefixes(mut self, v4: u8, v6: u8) -> Result<Self, ConfigError> {
        if v4 > 32 {
            return Err(ConfigError::new("ipv4_prefix", v4, "at most 32 bits"));
        }
        if v6 > 128 {
            return Err(ConfigError::new("ipv6_prefix", v6, "at most 128 bits"));
        }
        (self.v4, self.v6) = (v4, v6);
        Ok(self)
    }

    /// The peers that have a connection.
    pub fn peers(&self) -> usize {
        self.table.lock().len()
    }

    /// The place of one more connection, if there is one.
    fn admit(&self, address: &Address) -> Result<PeerPlace, AcceptError> {
        let Some(ip) = address.ip() else {
            return Ok(PeerPlace(None));
        };
        let peer = network(ip, self.v4, self.v6);
        let mut table = self.table.lock();
        let count = table.get(&peer).copied().unwrap_or(0);
        if count >= self.max {
            drop(table);
            return Err(AcceptError::refused(address.clone(), Refusal::PeerFull));
        }
        table.insert(peer, count + 1);
        Ok(PeerPlace(Some((Arc::clone(&self.table), peer))))
    }
}

/// The address with everything past the prefix set to zero.
fn network(ip: IpAddr, v4: u8, v6: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

/// The place of a connection among those of its peer. Dropped, it is free.
pub struct PeerPlace(Option<(Arc<Table>, IpAddr)>);

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let Some((table, peer)) = &self.0 else { return };
        if let Entry::Occupied(mut entry) = table.lock().entry(*peer) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl fmt::Debug for PeerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.0.as_ref().map(|(_, peer)| peer);
        f.debug_tuple("PeerPlace").field(&peer).finish()
    }
}

impl fmt::Debug for PeerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerLimit")
            .field("max", &self.max)
            .field("v4", &self.v4)
            .field("v6", &self.v6)
            .finish_non_exhaustive()
    }
}

impl<A> Layer<A> for PeerLimit {
    type Service = LimitPeers<A>;

    fn layer(&self, inner: A) -> LimitPeers<A> {
        LimitPeers {
            inner,
            limit: self.clone(),
        }
    }
}

/// An accept stream with a limit for each peer. See the [module](self).
#[derive(Clone, Debug)]
pub struct LimitPeers<A> {
    inner: A,
    limit: PeerLimit,
}

impl<A> LimitPeers<A> {
    /// The stream below.
    pub const fn get_ref(&self) -> &A {
        &self.inner
    }
}

impl<A: Accept> Accept for LimitPeers<A> {
    type Io = Guarded<A::Io, PeerPlace>;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted<Self::Io>, AcceptError>> {
        self.inner.poll_accept(cx).map(|accepted| {
            let accepted = accepted?;
            let place = self.limit.admit(accepted.info.peer())?;
            Ok(accepted.map(|io| Guarded::new(io, place)))
        })
    }
}

/// As a handshake: it counts by [`ConnectInfo::client`](crate::ConnectInfo::client).
impl<IO> Service<Accepted<IO>> for PeerLimit {
    type Response = Accepted<Guarded<IO, PeerPlace>>;
    type Error = AcceptError;
    type Future = Ready<Result<Self::Response, AcceptError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AcceptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, accepted: Accepted<IO>) -> Self::Future {
        let place = self.admit(accepted.info.client());
        ready(place.map(|place| accepted.map(|io| Guarded::new(io, place))))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::accept::tests::{Script, poll};

    fn of(ip: &str) -> Address {
        SocketAddr::new(ip.parse().expect("an address"), 1).into()
    }

    #[test]
    fn networks() {
        for (ip, v4, v6, network) in [
            ("192.0.2.7", 32, 64, "192.0.2.7"),
            ("192.0.2.7", 24, 64, "192.0.2.0"),
            ("192.0.2.7", 0, 64, "0.0.0.0"),
            ("::ffff:192.0.2.7", 24, 64, "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", 32, 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3:4:5:6", 32, 128, "2001:db8:1:2:3:4:5:6"),
            ("2001:db8:1:2:3:4:5:6", 32, 0, "::"),
        ] {
            let is = super::network(ip.parse().expect("valid"), v4, v6);
            assert_eq!(is.to_string(), network);
        }
    }

    #[test]
    fn prefixes_are_checked() {
        for (v4, v6, field) in [(33, 64, "ipv4_prefix"), (32, 129, "ipv6_prefix")] {
            let error = PeerLimit::new(1)
                .try_prefixes(v4, v6)
                .expect_err("too long");
            assert_eq!(error.field(), field);
        }
    }

    #[test]
    fn others_are_not_held_up_and_places_come_back() {
        let peers = ["192.0.2.1", "192.0.2.1", "192.0.2.2"].map(of);
        let limit = PeerLimit::new(1);
        let mut limited = limit.layer(Script::of_peers(peers));
        let one = poll(&mut limited);
        assert!(matches!(one, Poll::Ready(Ok(_))));
        let Poll::Ready(Err(error)) = poll(&mut limited) else {
            panic!("one is the limit");
        };
        assert_eq!(error.refusal(), Some((Refusal::PeerFull, &of("192.0.2.1"))));
        let two = poll(&mut limited);
        assert!(matches!(two, Poll::Ready(Ok(_))));
        assert_eq!(limit.peers(), 2);
        drop((one, two));
        assert_eq!(limit.peers(), 0, "the table does not grow");
    }

    #[test]
    fn who_has_no_address_is_not_limited() {
        let limit = PeerLimit::new(0);
        let mut limited = limit.layer(Script::of_peers([Address::Memory, Address::Unix(None)]));
        assert!(matches!(poll(&mut limited), Poll::Ready(Ok(_))));
        assert!(matches!(poll(&mut limited), Poll::Ready(Ok(_))));
        assert_eq!(limit.peers(), 0);
    }
}
