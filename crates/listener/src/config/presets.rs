//! What we would set. Plain functions, to be read and to be changed.

use std::time::Duration;

use ipnet::IpNet;

use super::{ListenerConfig, ProxyProtocolConfig};

/// For everybody: `[::]:8080`, and limits on what one client can take from the others.
///
/// The limits are for a process that may open 65,536 files, and needs one more for each connection to its own upstreams.
pub fn internet_facing() -> ListenerConfig {
    let mut config = ListenerConfig {
        listen: vec!["[::]:8080".into()],
        ..ListenerConfig::default()
    };
    // Found out within minutes that a peer has vanished, even if it owes us nothing.
    config.sockets.keep_alive = Some(Duration::from_secs(60));
    config.limits.connections = Some(20_000);
    // A household has a few; a company behind one address, a few hundred.
    config.limits.connections_per_client = Some(256);
    // Slow peers cost nothing but a place; those that say nothing, not even that for long.
    config.timeouts.handshake = Duration::from_secs(10);
    config.timeouts.header_read = Some(Duration::from_secs(15));
    // What a form needs, and a photograph. Whoever takes more says so.
    config.http.max_body_bytes = Some(16 << 20);
    // Nobody waits longer for an answer.
    config.http.request_timeout = Some(Duration::from_secs(60));
    config
}

/// Behind a load balancer that sends PROXY headers from these networks, and from nowhere else does anybody connect but health checks.
pub fn behind_proxy(trusted: impl IntoIterator<Item = IpNet>) -> ListenerConfig {
    let mut config = internet_facing();
    config.proxy_protocol = Some(ProxyProtocolConfig {
        trusted: trusted.into_iter().collect(),
        trust_local: false,
    });
    // Longer than balancers keep idle connections, 60 s mostly: whoever closes first, and it is not the balancer, fails a request
    // that is on its way.
    config.http.idle_timeout = Some(Duration::from_secs(120));
    // A balancer has to notice that this instance goes. Both together are below the 30 s that Kubernetes leaves.
    config.timeouts.drain_delay = Duration::from_secs(5);
    config.timeouts.drain = Duration::from_secs(20);
    config
}

/// For services of one's own, which keep connections and are no attackers: no limit on one client, idle connections stay long.
pub fn internal() -> ListenerConfig {
    let mut config = ListenerConfig {
        listen: vec!["[::]:8080".into()],
        ..ListenerConfig::default()
    };
    config.sockets.keep_alive = Some(Duration::from_secs(60));
    // A bug in a client is no reason to run out of files.
    config.limits.connections = Some(20_000);
    // Longer than the 90 s for which clients of hyper and Go keep them.
    config.http.idle_timeout = Some(Duration::from_secs(120));
    config
}
