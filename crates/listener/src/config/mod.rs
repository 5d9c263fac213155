//! A listener from a configuration file.
//!
//! The builder of [`Listener`](crate::Listener) and its layers come first: this is for settings that are known only at run time. Everything has a
//! default, documented at its field. With the feature `serde`, it is read from any format; unknown fields are refused, because a
//! setting that is misspelt is one that is not set.
//!
//! [`internet_facing`], [`behind_proxy`] and [`internal`] are what we would set. They are short: read them, and change what differs.
//!
//! TLS is not in it, since it is another crate's: add it to what [`bind`](ListenerConfig::bind) gives, by
//! [`tls`](crate::Listener::tls).
//!
//! # Errors
//!
//! [`ConfigError`] names the field, as `limits.ipv6_prefix`. An error of the format's own names it if the format tells where it is:
//! [`ListenerConfig::read`] always does.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::config;
//! use http::Response;
//! use std::time::Duration;
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut config = config::internet_facing();
//! config.listen = vec!["127.0.0.1:0".into()];
//! config.timeouts.drain = Duration::from_secs(5);
//! let listener = config.bind().await?;
//! # listener.handle().shutdown();
//! let drained = listener
//!     .shutdown_on_signals()
//!     .serve(service_fn(|_| async { Ok::<_, BoxError>(Response::new(Body::empty())) }))
//!     .await;
//! assert_eq!(drained.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! From a file:
//!
//! ```
//! # #[cfg(feature = "serde")] {
//! use bartizan_listener::ListenerConfig;
//! use std::time::Duration;
//!
//! let mut file = serde_json::Deserializer::from_str(r#"{
//!     "listen": ["127.0.0.1:8080", "unix:/run/app.sock"],
//!     "sockets": { "unix_mode": "0660" },
//!     "timeouts": { "handshake": "5s", "header_read": "none" },
//!     "proxy_protocol": { "trusted": ["10.0.0.0/8"] }
//! }"#);
//! let config = ListenerConfig::read(&mut file).unwrap();
//! assert_eq!(config.timeouts.handshake, Duration::from_secs(5));
//! assert_eq!(config.timeouts.drain, Duration::from_secs(25), "the default");
//!
//! let mut file = serde_json::Deserializer::from_str(r#"{ "limits": { "conections": 100 } }"#);
//! let error = ListenerConfig::read(&mut file).unwrap_err();
//! assert_eq!(error.field(), "limits.conections");
//! let cause = std::error::Error::source(&error).unwrap();
//! assert!(cause.to_string().starts_with("unknown field `conections`, expected one of `connections`"));
//! # }
//! ```

mod apply;
mod http;
mod presets;
#[cfg(feature = "serde")]
mod text;

use std::time::Duration;

use bartizan_core::ConfigError;
use ipnet::IpNet;

pub use self::{
    apply::ConfiguredListener,
    http::{HttpConfig, RateConfig},
    presets::{behind_proxy, internal, internet_facing},
};
use crate::{AtLimit, ListenAddr};

/// Every setting of a listener. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
#[non_exhaustive]
pub struct ListenerConfig {
    /// Where to listen, as [`ListenAddr`] has it. The default is `127.0.0.1:8080`: nobody but this machine, until told otherwise.
    pub listen: Vec<ListenAddr>,
    /// Options of the sockets.
    pub sockets: SocketConfig,
    /// Whose PROXY headers are believed. The default is `None`: none are read.
    pub proxy_protocol: Option<ProxyProtocolConfig>,
    /// How much of everything there may be.
    pub limits: LimitConfig,
    /// How long everything may take.
    pub timeouts: TimeoutConfig,
    /// How HTTP is spoken.
    pub http: HttpConfig,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr::Tcp(([127, 0, 0, 1], 8080).into())],
            sockets: SocketConfig::default(),
            proxy_protocol: None,
            limits: LimitConfig::default(),
            timeouts: TimeoutConfig::default(),
            http: HttpConfig::default(),
        }
    }
}

/// Options of the sockets: see [`Bind`](crate::Bind).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
#[non_exhaustive]
pub struct SocketConfig {
    /// Connections that may wait to be accepted: [`Bind::backlog`](crate::Bind::backlog). The default is 1024.
    pub backlog: u32,
    /// Sockets and tasks for each TCP address: [`Bind::accept_loops`](crate::Bind::accept_loops). The default is 1.
    pub accept_loops: usize,
    /// Whether other processes may bind the same: [`Bind::reuse_port`](crate::Bind::reuse_port). The default is `false`.
    pub reuse_port: bool,
    /// Whether IPv6 sockets leave IPv4 alone: [`Bind::only_v6`](crate::Bind::only_v6). The default is `false`.
    pub only_v6: bool,
    /// Permissions of Unix sockets: [`Bind::unix_mode`](crate::Bind::unix_mode). Text, in octal, such as `0660`. The default is `None`:
    /// what the umask leaves.
    #[cfg_attr(feature = "serde", serde(with = "text::octal"))]
    pub unix_mode: Option<u32>,
    /// Whether small writes go out at once: [`Bind::nodelay`](crate::Bind::nodelay). The default is `true`.
    pub nodelay: bool,
    /// Silence after which the system asks a peer whether it is there: [`Bind::keep_alive`](crate::Bind::keep_alive). Text, such as
    /// `60s`, or `none`. The default is none.
    #[cfg_attr(feature = "serde", serde(with = "text::optional_duration"))]
    pub keep_alive: Option<Duration>,
    /// Bytes that the system takes for a peer that does not read: [`Bind::notsent_lowat`](crate::Bind::notsent_lowat). The default is
    /// 65,536; 0 leaves it to the system.
    pub notsent_lowat: u32,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            backlog: 1024,
            accept_loops: 1,
            reuse_port: false,
            only_v6: false,
            unix_mode: None,
            nodelay: true,
            keep_alive: None,
            notsent_lowat: 64 << 10,
        }
    }
}

/// Whose PROXY headers are believed: see [`ProxyProtocol`](crate::ProxyProtocol).
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct ProxyProtocolConfig {
    /// The networks of the proxies, such as `10.0.0.0/8`. There is no default.
    pub trusted: Vec<IpNet>,
    /// Whether peers on Unix sockets are believed, too. The default is `false`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub trust_local: bool,
}

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
#[non_exhaustive]
pub struct LimitConfig {
    /// Connections at once: [`ConnectionLimit`](crate::ConnectionLimit). The default is `None`: as many as the process may have files.
    pub connections: Option<usize>,
    /// What becomes of further ones: `wait` or `refuse`. The default is that they wait.
    pub at_limit: AtLimit,
    /// Connections at once of one client: [`PeerLimit`](crate::PeerLimit). Further ones are refused. The default is `None`: no limit.
    pub connections_per_client: Option<usize>,
    /// Bits of an IPv4 address that tell clients apart. The default is 32, all.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that tell clients apart. The default is 64, the least that a site is given.
    pub ipv6_prefix: u8,
    /// Handshakes at once: [`Listener::max_handshakes`](crate::Listener::max_handshakes). The default is 1024.
    pub handshakes: usize,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            connections: None,
            at_limit: AtLimit::Wait,
            connections_per_client: None,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            handshakes: 1024,
        }
    }
}

/// How long everything may take. Text, such as `10s` or `1m 30s`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// All that comes before HTTP: [`Listener::handshake_timeout`](crate::Listener::handshake_timeout). The default is 10 s.
    #[cfg_attr(feature = "serde", serde(with = "text::duration"))]
    pub handshake: Duration,
    /// The head of a request: [`Listener::header_read_timeout`](crate::Listener::header_read_timeout). Or `none`. The default is 30 s.
    #[cfg_attr(feature = "serde", serde(with = "text::optional_duration"))]
    pub header_read: Option<Duration>,
    /// Before the drain, while readiness says no already: [`Listener::drain_delay`](crate::Listener::drain_delay). The default is no time.
    #[cfg_attr(feature = "serde", serde(with = "text::duration"))]
    pub drain_delay: Duration,
    /// Requests in flight, once the drain has begun: [`Listener::drain_timeout`](crate::Listener::drain_timeout). The default is
    /// 25 s.
    #[cfg_attr(feature = "serde", serde(with = "text::duration"))]
    pub drain: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header_read: Some(Duration::from_secs(30)),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(25),
        }
    }
}

impl ListenerConfig {
    /// Reads it from any format, and says which field is wrong if one is.
    ///
    /// What is read is also [checked](Self::check).
    ///
    /// # Errors
    ///
    /// If the format is broken, a field is not known or has a value of the wrong kind, or one that it may not have.
    #[cfg(feature = "serde")]
    pub fn read<'de, D>(deserializer: D) -> Result<Self, ConfigError>
    where
        D: serde::Deserializer<'de, Error: std::error::Error + Send + Sync + 'static>,
    {
        let config: Self = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let expected = "a field of a listener's configuration, with a value that it may have";
            ConfigError::new(path, "in the document", expected).with_source(error.into_inner())
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks everything that can be checked without binding.
    ///
    /// # Errors
    ///
    /// If a field has a value that it may not have.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, value: &dyn std::fmt::Display, expected: &str| {
            Err(ConfigError::new(field, value, expected))
        };
        let LimitConfig {
            connections,
            at_limit: _,
            connections_per_client,
            ipv4_prefix,
            ipv6_prefix,
            handshakes,
        } = &self.limits;
        if self.listen.is_empty() {
            return wrong(
                "listen",
                &"[]",
                "an address such as 127.0.0.1:8080, at least",
            );
        }
        if self.sockets.backlog == 0 {
            return wrong("sockets.backlog", &0, "1 or more");
        }
        if self.sockets.accept_loops == 0 {
            return wrong("sockets.accept_loops", &0, "1 or more");
        }
        if let Some(mode) = self.sockets.unix_mode.filter(|mode| *mode > 0o777) {
            return wrong(
                "sockets.unix_mode",
                &format_args!("{mode:o}"),
                "at most 777, in octal",
            );
        }
        if connections == &Some(0) {
            return wrong(
                "limits.connections",
                &0,
                "1 or more, or nothing for no limit",
            );
        }
        if connections_per_client == &Some(0) {
            let expected = "1 or more, or nothing for no limit";
            return wrong("limits.connections_per_client", &0, expected);
        }
        if *ipv4_prefix > 32 {
            return wrong("limits.ipv4_prefix", ipv4_prefix, "at most 32 bits");
        }
        if *ipv6_prefix > 128 {
            return wrong("limits.ipv6_prefix", ipv6_prefix, "at most 128 bits");
        }
        if *handshakes == 0 {
            return wrong("limits.handshakes", handshakes, "1 or more");
        }
        if self.timeouts.handshake.is_zero() {
            return wrong("timeouts.handshake", &"0s", "more than no time");
        }
        if self.timeouts.header_read == Some(Duration::ZERO) {
            return wrong(
                "timeouts.header_read",
                &"0s",
                "more than no time, or none for no limit",
            );
        }
        self.http_settings()?;
        match &self.proxy_protocol {
            Some(proxy) if proxy.trusted.is_empty() && !proxy.trust_local => wrong(
                "proxy_protocol.trusted",
                &"[]",
                "the network of a proxy, at least: leave proxy_protocol out if there is none",
            ),
            _ => Ok(()),
        }
    }

    fn http_settings(&self) -> Result<crate::HttpSettings, ConfigError> {
        let settings = self.http.settings(self.timeouts.header_read);
        settings.map_err(|error| http::within("http", error))
    }
}
