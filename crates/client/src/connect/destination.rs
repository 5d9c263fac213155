//! Where a connection goes, and how.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};

use super::{Alpn, ConnectOptions};
#[cfg(feature = "proxy")]
use crate::proxy::Route;
use crate::{Phase, Timeouts, pool::Phases};

/// Where a connection goes, and how: what a connector is called with, and what the pool keeps connections under.
///
/// Two are equal if one connection serves both: the same scheme, host (in any case), port and [`ConnectOptions`]. How long connecting
/// may take is no part of that, and neither is which layer makes the TLS. Copies no text and allocates nothing.
#[derive(Clone)]
pub struct Destination {
    is_https: bool,
    authority: Authority,
    /// Where in the authority the host is. Finding it is most of what a look-up in the pool would cost.
    host: Range<usize>,
    port: u16,
    options: Option<ConnectOptions>,
    limits: Limits,
    has_tls_above: bool,
    is_proxy: bool,
    only: Option<Alpn>,
    /// Where what connecting took is noted, if somebody wants to know.
    phases: Option<Arc<Phases>>,
}

/// Those of [`Timeouts`] that a connector keeps. They ride along, so that one connector serves requests with different ones.
#[derive(Clone, Copy)]
struct Limits {
    resolve: Option<Duration>,
    connect: Option<Duration>,
    tls: Option<Duration>,
}

impl Limits {
    const fn of(timeouts: &Timeouts) -> Self {
        Self {
            resolve: timeouts.resolve,
            connect: timeouts.connect,
            tls: timeouts.tls,
        }
    }
}

impl Destination {
    /// The origin of `uri`, if it is `http` or `https` and has a host and no impossible port.
    pub fn of(uri: &Uri) -> Option<Self> {
        Self::of_request(uri, None, &Timeouts::new())
    }

    /// The same with all that a request says, in one go: every request pays for it.
    pub(crate) fn of_request(
        uri: &Uri,
        options: Option<ConnectOptions>,
        timeouts: &Timeouts,
    ) -> Option<Self> {
        let scheme = uri.scheme()?;
        let is_https = *scheme == Scheme::HTTPS;
        if !is_https && *scheme != Scheme::HTTP {
            return None;
        }
        let authority = uri.authority()?.clone();
        let bytes = authority.as_str().as_bytes();
        let (mut start, mut colon) = (0, None);
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                // User information ends with it, and is nobody's business here.
                b'@' => (start, colon) = (at + 1, None),
                b':' if colon.is_none() => colon = Some(at),
                // An IPv6 address has colons of its own, and ends with its bracket.
                b']' => colon = None,
                _ => {}
            }
        }
        let end = colon.unwrap_or(bytes.len());
        if start == end {
            return None;
        }
        let port = match authority.as_str().get(end + 1..) {
            // With a colon and nothing after it (RFC 3986 section 3.2.3), too.
            Some(port) if !port.is_empty() => {
                // `parse` would take a leading plus, which the grammar has not.
                let is_port = |number: &u16| *number != 0 && !port.starts_with('+');
                port.parse().ok().filter(is_port)?
            }
            _ if is_https => 443,
            _ => 80,
        };
        Some(Self {
            is_https,
            authority,
            host: start..end,
            port,
            options,
            limits: Limits::of(timeouts),
            has_tls_above: false,
            is_proxy: false,
            only: None,
            phases: None,
        })
    }

    /// Whether `uri` and `options` are what this was made of, letter by letter. If not, they may lead here all the same.
    pub(crate) fn is_written_as(&self, uri: &Uri, options: Option<&ConnectOptions>) -> bool {
        let scheme = if self.is_https {
            &Scheme::HTTPS
        } else {
            &Scheme::HTTP
        };
        let authority = uri.authority().map(Authority::as_str);
        authority == Some(self.authority.as_str())
            && uri.scheme() == Some(scheme)
            && self.options.as_ref() == options
            && !self.has_user_information()
    }

    /// Whether the URI had more than a host and a port.
    pub(crate) const fn has_user_information(&self) -> bool {
        self.host.start > 0
    }

    /// A proxy as a destination of its own: what goes there by TLS is the proxy's business, not the origin's.
    #[cfg(feature = "proxy")]
    pub(crate) fn of_proxy(&self, is_https: bool, authority: Authority, port: u16) -> Self {
        Self {
            is_https,
            // A proxy's authority is without user information, and may be without a port.
            host: 0..authority.host().len(),
            authority,
            port,
            options: None,
            limits: self.limits,
            has_tls_above: false,
            is_proxy: true,
            only: None,
            phases: self.phases.clone(),
        }
    }

    /// The same, with how to get there.
    #[must_use]
    pub fn with_options(mut self, options: Option<ConnectOptions>) -> Self {
        self.options = options;
        self
    }

    /// Sets how long a name, a connection and a handshake may take. Default: as [`Timeouts::new`] has them.
    #[must_use]
    pub const fn with_timeouts(mut self, timeouts: &Timeouts) -> Self {
        self.limits = Limits::of(timeouts);
        self
    }

    /// What a layer that makes TLS calls its inner connector with: the same destination, to which the connector below makes none.
    ///
    /// The [scheme](Self::is_https) stays, since proxies are chosen by it.
    #[must_use]
    pub const fn with_tls_above(mut self) -> Self {
        self.has_tls_above = true;
        self
    }

    /// Sets the only protocol that will be spoken, whatever else the peer may speak: TLS then offers nothing else.
    #[must_use]
    pub const fn with_only(mut self, protocol: Option<Alpn>) -> Self {
        self.only = protocol;
        self
    }

    /// The same for one connection, of which it notes what its parts take.
    pub(crate) fn with_phases(mut self) -> Self {
        self.phases = Some(Arc::default());
        self
    }

    pub(crate) fn phases(&self) -> Option<&Phases> {
        self.phases.as_deref()
    }

    /// Tells how long a part of connecting took, for the [`Timings`](crate::Timings) of the requests that waited for it: for connectors
    /// of one's own.
    ///
    /// The part is [`Phase::Resolve`], [`Phase::Connect`], [`Phase::Proxy`] or [`Phase::Tls`], and others are not kept. What is told
    /// of the same part again is added to it.
    ///
    /// ```
    /// use bartizan_client::{Phase, RecordTimings, RequestExt, Timings, connect::Destination, pool::Pool};
    /// use bartizan_core::Body;
    /// use bartizan_testing::Loopback;
    /// use http::{Request, Response};
    /// use std::time::Duration;
    /// use tokio::net::TcpStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
    /// let pool = Pool::new(tower::service_fn(|to: Destination| async move {
    ///     to.record(Phase::Resolve, Duration::from_millis(7));
    ///     TcpStream::connect((to.host(), to.port())).await
    /// }));
    /// let response = pool.get(server.uri("/")).extension(RecordTimings).send().await?;
    /// let timings: &Timings = response.extensions().get().expect("as asked for");
    /// assert_eq!((timings.resolve(), timings.connect()), (Some(Duration::from_millis(7)), None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn record(&self, phase: Phase, took: Duration) {
        if let Some(phases) = &self.phases {
            phases.add(phase, took);
        }
    }

    /// The only protocol that will be spoken. `None` if the TLS handshake decides.
    pub const fn only_protocol(&self) -> Option<Alpn> {
        self.only
    }

    /// Whether the scheme is `https`.
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether the connector that is called has to make TLS: the scheme is `https`, and no layer above takes care of it.
    ///
    /// A connector without TLS has to refuse then, as its caller would send in the clear what was meant to be secret.
    pub const fn needs_tls(&self) -> bool {
        self.is_https && !self.has_tls_above
    }

    /// Whether it is a proxy, with which HTTP/1.1 is spoken whatever is spoken with the origin: TLS must not offer `h2`.
    pub const fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.authority.as_str()[self.host.clone()]
    }

    /// The port, which is that of the scheme if the URI had none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How to get there, if that is not the ordinary way.
    pub const fn options(&self) -> Option<&ConnectOptions> {
        self.options.as_ref()
    }

    /// Whether the request asks for a proxy, which no layer has seen to: whoever goes on directly would show what was to be hidden.
    pub(crate) fn needs_proxy(&self) -> bool {
        #[cfg(feature = "proxy")]
        let needs = matches!(
            self.options().and_then(ConnectOptions::get_route),
            Some(Route::Via(_))
        );
        #[cfg(not(feature = "proxy"))]
        let needs = false;
        needs
    }

    /// How long the host's name may take to become addresses. `None` is no limit.
    pub const fn resolve_timeout(&self) -> Option<Duration> {
        self.limits.resolve
    }

    /// How long a connection may take, to all addresses of the host together. `None` is no limit.
    pub const fn connect_timeout(&self) -> Option<Duration> {
        self.limits.connect
    }

    /// How long a TLS handshake may take. `None` is no limit.
    pub const fn tls_timeout(&self) -> Option<Duration> {
        self.limits.tls
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port
            && self.is_https == other.is_https
            && (self.host() == other.host() || self.host().eq_ignore_ascii_case(other.host()))
            && self.options == other.options
    }
}

impl Eq for Destination {}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // In pieces, as hashing bytes one by one costs ten times that.
        for piece in self.host().as_bytes().chunks(32) {
            let mut lower = [0; 32];
            let lower = &mut lower[..piece.len()];
            lower.copy_from_slice(piece);
            lower.make_ascii_lowercase();
            state.write(lower);
        }
        state.write_u16(self.port);
        // Most have none, and equal ones agree in that.
        if let Some(options) = &self.options {
            options.hash(state);
        }
    }
}

/// `https://host:port`, which has nothing secret.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host(), self.port)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Destination")
            .field(&format_args!("{self}"))
            .field(&self.options)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(uri: &str) -> Uri {
        uri.parse().expect("a URI")
    }

    #[test]
    fn hosts_and_ports() {
        for (from, host, port) in [
            ("http://h", "h", 80),
            ("https://h/", "h", 443),
            ("http://h:81", "h", 81),
            ("http://127.0.0.1:5000/a:b@c", "127.0.0.1", 5000),
            ("http://[::1]", "[::1]", 80),
            ("http://[2001:db8::1]:81/", "[2001:db8::1]", 81),
            ("http://me@h:81/", "h", 81),
            ("http://me:secret@h/", "h", 80),
            ("http://me:1@[::1]:81/", "[::1]", 81),
            ("HTTP://h:080/", "h", 80),
            ("http://h:65535/", "h", 65_535),
            // A colon with nothing after it is none (RFC 3986 section 3.2.3).
            ("http://h:/", "h", 80),
            ("https://h:/", "h", 443),
            ("http://a_b.example./", "a_b.example.", 80),
        ] {
            let to = Destination::of(&uri(from)).expect(from);
            assert_eq!((to.host(), to.port()), (host, port), "{from}");
            assert_eq!(to.has_user_information(), from.contains("me"), "{from}");
        }
        for nowhere in [
            "/a",
            "h:80",
            "ftp://h/",
            "http://h:0/",
            "http://h:65536/",
            "http://h:+1/",
            "http://h:-1/",
            "http://:80/",
            "http://me@:80/",
            "*",
        ] {
            // Some are no URIs at all.
            let nowhere: Result<Uri, _> = nowhere.parse();
            let to = nowhere.ok().as_ref().and_then(Destination::of);
            assert!(to.is_none(), "{to:?}");
        }
    }

    #[test]
    fn one_connection_serves_what_is_the_same_however_it_is_spelled() {
        let of = |from: &str| Destination::of(&uri(from)).expect(from);
        for (one, other, is_same) in [
            ("http://H/", "http://h/a?b", true),
            ("http://h:80/", "http://h/", true),
            ("http://h:/", "http://h/", true),
            ("http://me@h/", "http://h/", true),
            ("http://[2001:DB8::1]/", "http://[2001:db8::1]/", true),
            ("http://h/", "https://h/", false),
            ("http://h:443/", "https://h/", false),
            ("http://h/", "http://h:81/", false),
            ("http://h/", "http://h./", false),
        ] {
            assert_eq!(of(one) == of(other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_written_the_same_leads_to_the_same_place() {
        let tag = |tag: &str| Some(ConnectOptions::new().isolation(tag));
        let cases = [
            "http://h/",
            "https://h/",
            "http://H/",
            "http://h:80/",
            "http://h:81/",
            "http://i/",
            "http://me@h/",
            "/a",
            "h:80",
        ];
        let mut same = 0;
        for (made_of, asked) in cases.iter().flat_map(|a| cases.iter().map(move |b| (a, b))) {
            for (ours, theirs) in [
                (None, None),
                (tag("a"), tag("a")),
                (tag("a"), tag("b")),
                (None, tag("a")),
            ] {
                let Some(to) = Destination::of(&uri(made_of)) else {
                    continue;
                };
                let to = to.with_options(ours.clone());
                if !to.is_written_as(&uri(asked), theirs.as_ref()) {
                    continue;
                }
                same += 1;
                let other = Destination::of(&uri(asked)).expect("it leads somewhere");
                assert_eq!(to, other.with_options(theirs.clone()), "{made_of} {asked}");
                assert!(
                    !asked.contains('@'),
                    "who is named there is not to be overlooked"
                );
            }
        }
        // Each of six with itself, with the same options or none.
        assert_eq!(same, 12);
    }
}
