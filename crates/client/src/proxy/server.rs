//! One proxy.

use std::{fmt, str::FromStr, sync::Arc};

use bartizan_core::ConfigError;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri, uri::Authority};
use percent_encoding::percent_decode_str;

use crate::connect::{ConnectOptions, Destination};

/// A proxy: what it speaks, where it is, and who is asking. Cheap to clone.
///
/// | scheme | the proxy is reached by | plain http goes | https goes | who resolves the origin's name | default port |
/// |---|---|---|---|---|---|
/// | `http` | TCP | as absolute URIs | through `CONNECT` | the proxy | 80 |
/// | `https` | TLS | as absolute URIs | through `CONNECT` | the proxy | 443 |
/// | `socks4` | TCP | through a tunnel | through a tunnel | this machine | 1080 |
/// | `socks4a` | TCP | through a tunnel | through a tunnel | the proxy | 1080 |
/// | `socks5` | TCP | through a tunnel | through a tunnel | this machine | 1080 |
/// | `socks5h` | TCP | through a tunnel | through a tunnel | the proxy | 1080 |
///
/// `Debug` and `Display` show no credentials.
///
/// ```
/// use bartizan_client::proxy::Proxy;
///
/// let proxy: Proxy = "http://me:s%40cret@proxy.example:3128".parse().unwrap();
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
///
/// let error = "ftp://proxy.example".parse::<Proxy>().unwrap_err();
/// assert_eq!(error.field(), "proxy");
/// ```
///
/// Credentials apart from the URL:
///
/// ```
/// use bartizan_client::proxy::Proxy;
///
/// let proxy = Proxy::try_new("socks5h://127.0.0.1:9050")?.try_credentials("me", "secret")?;
/// assert!(!format!("{proxy:?}").contains("secret"));
/// # Ok::<_, bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy(Arc<Server>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Server {
    protocol: Protocol,
    host: Authority,
    port: u16,
    credentials: Option<Credentials>,
    tls_profile: Option<Arc<str>>,
    tunnels_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Http,
    Https,
    Socks4,
    Socks4a,
    Socks5,
    Socks5h,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// How a connection gets where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// To the origin itself.
    Direct,
    /// Through a proxy.
    Via(Proxy),
}

impl Proxy {
    /// The proxy of a URL: `scheme://user:password@host:port`, where everything but the host may be left out, and the scheme is then
    /// `http`. User and password are percent-decoded.
    ///
    /// # Errors
    ///
    /// If the scheme is none of the six, there is no host or no usable port, there is a path, or the protocol cannot carry the
    /// credentials. The error never has them.
    pub fn try_new(url: &str) -> Result<Self, ConfigError> {
        let fail = |expected: &str| Err(ConfigError::new("proxy", shown(url), expected));
        let with_scheme = if url.contains("://") {
            None
        } else {
            Some(format!("http://{url}"))
        };
        let Ok(uri) = with_scheme.as_deref().unwrap_or(url).parse::<Uri>() else {
            return fail("a URL such as `http://proxy.example:3128`");
        };
        let scheme = uri.scheme_str().map(str::to_ascii_lowercase);
        let protocol = match scheme.as_deref() {
            Some("http") => Protocol::Http,
            Some("https") => Protocol::Https,
            Some("socks4") => Protocol::Socks4,
            Some("socks4a") => Protocol::Socks4a,
            Some("socks5") => Protocol::Socks5,
            Some("socks5h") => Protocol::Socks5h,
            _ => return fail("http, https, socks4, socks4a, socks5 or socks5h"),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return fail("no path: a proxy is a host and a port");
        }
        let Some(authority) = uri.authority() else {
            return fail("a host");
        };
        let (user_info, host_port) = match authority.as_str().rsplit_once('@') {
            Some((user_info, host_port)) => (Some(user_info), host_port),
            None => (None, authority.as_str()),
        };
        let Ok(authority) = host_port.parse::<Authority>() else {
            return fail("a host");
        };
        if authority.host().is_empty() {
            return fail("a host");
        }
        let port = if host_port.len() > authority.host().len() {
            match authority.port_u16() {
                Some(port) if port > 0 => port,
                _ => return fail("a port from 1 to 65535"),
            }
        } else {
            protocol.default_port()
        };
        // The same proxy however it is written, since connections are kept under it.
        let host = authority.host().to_ascii_lowercase();
        let Ok(host) = host.parse() else {
            return fail("a host");
        };
        let proxy = Self(Arc::new(Server {
            protocol,
            host,
            port,
            credentials: None,
            tls_profile: None,
            tunnels_all: false,
        }));
        match user_info {
            None => Ok(proxy),
            Some(user_info) => {
                let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
                let decode = |text| percent_decode_str(text).decode_utf8();
                match (decode(user), decode(password)) {
                    (Ok(user), Ok(password)) => proxy.try_credentials(user, password),
                    _ => fail("user and password in UTF-8"),
                }
            }
        }
    }

    /// Sets the credentials: Basic (RFC 7617) for HTTP, user name and password (RFC 1929) for SOCKS5, and the user's id alone for SOCKS4.
    ///
    /// # Errors
    ///
    /// If the protocol cannot carry them: a colon in the user of HTTP, more than 255 bytes in SOCKS5, a password in SOCKS4, control
    /// characters anywhere. The error never has them.
    pub fn try_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        let credentials = Credentials {
            user: user.into(),
            password: password.into(),
        };
        let Credentials { user, password } = &credentials;
        let expected = if format!("{user}{password}").contains(|c: char| c.is_control()) {
            Some("no control characters")
        } else {
            match self.0.protocol {
                Protocol::Http | Protocol::Https if user.contains(':') => {
                    Some("a user without a colon (RFC 7617)")
                }
                Protocol::Http | Protocol::Https => None,
                Protocol::Socks4 | Protocol::Socks4a if !password.is_empty() => {
                    Some("a user alone: SOCKS4 has no passwords")
                }
                Protocol::Socks4 | Protocol::Socks4a if user.len() > 255 => {
                    Some("at most 255 bytes")
                }
                Protocol::Socks4 | Protocol::Socks4a => None,
                // An empty password is against RFC 1929, and some providers want one.
                Protocol::Socks5 | Protocol::Socks5h => {
                    let fits = (1..=255).contains(&user.len()) && password.len() <= 255;
                    (!fits).then_some("a user of 1 to 255 bytes, and a password of up to 255")
                }
            }
        };
        if let Some(expected) = expected {
            return Err(ConfigError::new("credentials", "(not shown)", expected));
        }
        Arc::make_mut(&mut self.0).credentials = Some(credentials);
        Ok(self)
    }

    /// Names the TLS settings for an `https` proxy. Those of the request are for the origin, and are never used for the proxy.
    #[must_use]
    pub fn tls_profile(mut self, name: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).tls_profile = Some(name.into());
        self
    }

    /// Asks an HTTP proxy for a tunnel even to plain http, as WebSocket and HTTP/2 need it. Many proxies refuse that for port 80.
    /// Default: not.
    #[must_use]
    pub fn tunnel_all(mut self) -> Self {
        Arc::make_mut(&mut self.0).tunnels_all = true;
        self
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    pub(crate) fn tunnels_all(&self) -> bool {
        self.0.tunnels_all
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.0.credentials.as_ref()
    }

    /// `Proxy-Authorization`, for HTTP.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let Credentials { user, password } = self.credentials()?;
        let value = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{password}"))
        );
        let mut value = HeaderValue::try_from(value).expect("Base64 is visible ASCII");
        value.set_sensitive(true);
        Some(value)
    }

    /// The proxy as what a connector is called with, on the way to `origin`.
    pub(crate) fn destination(&self, origin: &Destination) -> Destination {
        let local_address = origin.options().and_then(ConnectOptions::get_local_address);
        let mut options = None;
        if let Some(address) = local_address {
            options = Some(ConnectOptions::new().local_address(address));
        }
        if let Some(profile) = &self.0.tls_profile {
            let given = options.unwrap_or_default();
            options = Some(given.tls_profile(Arc::clone(profile)));
        }
        let is_https = self.0.protocol == Protocol::Https;
        origin
            .of_proxy(is_https, self.0.host.clone(), self.0.port)
            .with_options(options)
    }
}

impl Protocol {
    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks4 | Self::Socks4a | Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }
}

impl FromStr for Proxy {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        Self::try_new(url)
    }
}

/// As much of a URL that may be none as cannot be a password, which may hold any character, and stand where a port belongs.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let after_user = rest.rsplit('@').next().unwrap_or_default();
    let end = after_user.find(['/', '?', '#']).unwrap_or(after_user.len());
    let authority = &after_user[..end];
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    if scheme.is_empty() {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}

/// The URL without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.0.protocol.scheme(), self.0.host.as_str());
        write!(f, "{scheme}://{host}:{}", self.0.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &format_args!("{self}"))
            .field("has_credentials", &self.0.credentials.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (url, shown) in [
            ("http://h", "http://h:80"),
            ("https://h/", "https://h:443"),
            ("h:3128", "http://h:3128"),
            ("socks5h://[::1]", "socks5h://[::1]:1080"),
            ("SOCKS4://h:1", "socks4://h:1"),
            ("socks4a://me@h", "socks4a://h:1080"),
        ] {
            assert_eq!(Proxy::try_new(url).expect(url).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_proxy_says_why_without_secrets() {
        for (url, expected) in [
            ("ftp://me:secret@h", "socks5h"),
            ("http://me:secret@h:0", "a port"),
            ("http://me:secret@h:x", "a port"),
            ("http://me:secret@h/path", "no path"),
            ("http://me:secret@h?secret", "no path"),
            ("http://me:secret@", "a"),
            ("", "a URL"),
            ("socks4://me:secret@h", "no passwords"),
            ("socks5://:secret@h", "a user of 1 to 255"),
            ("http://me:secret%0a@h", "control"),
            ("http://me:secret%ff@h", "UTF-8"),
            ("http://me:secret?x@h o", "a URL"),
            ("http://me:x/secret@h o", "a URL"),
            ("http://me:secret#@h", "a port"),
            ("http://me:secret", "a port"),
            ("me:secret", "a port"),
        ] {
            let error = Proxy::try_new(url).expect_err(url);
            assert!(error.expected().contains(expected), "{url}: {error}");
            assert!(
                !format!("{error} {error:?}").contains("secret"),
                "{error:?}"
            );
        }
        let long = "x".repeat(256);
        let socks = Proxy::try_new("socks5://h").expect("a proxy");
        assert!(socks.clone().try_credentials(&long, "").is_err());
        assert!(socks.try_credentials("u", &long).is_err());
    }

    #[test]
    fn credentials_are_decoded_and_sensitive() {
        let proxy = Proxy::try_new("http://Aladdin:open%20sesame@h").expect("a proxy");
        let value = proxy.authorization().expect("credentials");
        // RFC 7617 section 2.
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        assert!(!format!("{proxy:?}").contains("sesame"));
    }
}
