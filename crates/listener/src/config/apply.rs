//! From settings to a listener.

use bartizan_core::ConfigError;
use tokio::sync::Semaphore;

use super::ListenerConfig;
use crate::{
    Bind, ConnectionLimit, Listener, PeerLimit, Plain, ProxyProtocol, Socket, Then,
    accept::LimitConnections,
};

/// What [`ListenerConfig::bind`] gives: connections are limited, PROXY headers read, clients limited, in this order, each if it is
/// set.
pub type ConfiguredListener =
    Listener<LimitConnections<Socket>, Then<Then<Plain, ProxyProtocol>, PeerLimit>>;

impl ListenerConfig {
    /// Binds everything in [`listen`](Self::listen), and sets everything else.
    ///
    /// # Errors
    ///
    /// If a field has a value that it may not have, or an address cannot be bound: then a [`BindError`](crate::BindError) is the
    /// source.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind(&self) -> Result<ConfiguredListener, ConfigError> {
        self.check()?;
        let mut sockets = Vec::new();
        for (index, addr) in self.listen.iter().enumerate() {
            let bound = self.sockets().to(addr.clone()).sockets().await;
            sockets.extend(bound.map_err(|error| {
                let expected = "an address that can be bound";
                ConfigError::new(format!("listen[{index}]"), addr, expected).with_source(error)
            })?);
        }
        let limits = &self.limits;
        // The largest there is, is none.
        let connections = limits.connections.unwrap_or(Semaphore::MAX_PERMITS);
        let clients = PeerLimit::new(limits.connections_per_client.unwrap_or(usize::MAX))
            .try_prefixes(limits.ipv4_prefix, limits.ipv6_prefix)?;
        Ok(Listener::from_sockets(sockets)
            .layer(ConnectionLimit::new(connections).at_limit(limits.at_limit))
            .proxy_protocol(self.proxies())
            .handshake(clients)
            .max_handshakes(limits.handshakes)
            .handshake_timeout(self.timeouts.handshake)
            .http(self.http_settings()?)
            .drain_delay(self.timeouts.drain_delay)
            .drain_timeout(self.timeouts.drain))
    }

    fn sockets(&self) -> Bind {
        let sockets = &self.sockets;
        let bind = Bind::new()
            .backlog(sockets.backlog)
            .accept_loops(sockets.accept_loops)
            .reuse_port(sockets.reuse_port)
            .only_v6(sockets.only_v6)
            .nodelay(sockets.nodelay)
            .keep_alive(sockets.keep_alive)
            .notsent_lowat(sockets.notsent_lowat);
        match sockets.unix_mode {
            Some(mode) => bind.unix_mode(mode),
            None => bind,
        }
    }

    fn proxies(&self) -> ProxyProtocol {
        match &self.proxy_protocol {
            Some(proxy) => ProxyProtocol::trusting(proxy.trusted.iter().copied())
                .trust_local(proxy.trust_local),
            None => ProxyProtocol::off(),
        }
    }
}
