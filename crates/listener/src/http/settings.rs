//! What can be set about HTTP, with the defaults and their reasons.

use std::time::Duration;

use bartizan_core::ConfigError;
use http::HeaderValue;

use super::{FOREVER, FrameLimit, MinRate, vigil::Bounds};

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Protocols {
    /// HTTP/1.1 and HTTP/2, told apart by the first bytes (RFC 9113 section 3.3).
    #[default]
    Both,
    /// HTTP/1.1 and HTTP/1.0. The preface of HTTP/2 is answered by closing.
    Http1,
    /// HTTP/2 only. Anything but its preface is answered by `GOAWAY`.
    Http2,
}

/// How HTTP is spoken on the connections of a [`Listener`](crate::Listener), and what a peer may ask of it.
///
/// The defaults are meant for the open internet. What is `None` is not limited.
///
/// ```
/// use bartizan_listener::{HttpSettings, Listener, MinRate};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = HttpSettings::builder()
///     .max_body_bytes(10 << 20)
///     .request_timeout(Duration::from_secs(60))
///     .max_age(Duration::from_secs(3600))
///     .min_request_rate(MinRate::try_new(1000, Duration::from_secs(10))?)
///     .server_header("bartizan")
///     .build()?;
/// let listener = Listener::bind("127.0.0.1:0").await?.http(settings);
/// # Ok(())
/// # }
/// ```
///
/// A setting that cannot work is an error that names it:
///
/// ```
/// use bartizan_listener::HttpSettings;
///
/// let error = HttpSettings::builder().http2_max_frame_size(100).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid http2_max_frame_size `100`: expected 16384 to 16777215 (RFC 9113 section 6.5.2)"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct HttpSettings {
    pub(crate) protocols: Protocols,
    pub(crate) header_read_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_uri_bytes: usize,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) min_request_rate: Option<MinRate>,
    pub(crate) min_response_rate: Option<MinRate>,
    pub(crate) date_header: bool,
    pub(crate) server_header: Option<HeaderValue>,
    pub(crate) http2_max_streams: u32,
    pub(crate) http2_stream_window: u32,
    pub(crate) http2_connection_window: u32,
    pub(crate) http2_adaptive_window: bool,
    pub(crate) http2_max_frame_size: u32,
    pub(crate) http2_max_send_buffer: u32,
    pub(crate) http2_keep_alive: Option<Duration>,
    pub(crate) http2_frame_limit: Option<FrameLimit>,
    pub(crate) http2_spawn_streams: bool,
    pub(crate) http2_max_pending_resets: usize,
    pub(crate) http2_max_refused: usize,
}

impl HttpSettings {
    /// The defaults, to be changed.
    pub fn builder() -> HttpSettingsBuilder {
        HttpSettingsBuilder {
            settings: Self::default(),
            server_header: None,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            head: self.header_read_timeout,
            idle: self.idle_timeout,
            age: self.max_age,
            requests: self.max_requests,
            reading: self.min_response_rate,
        }
    }

    /// The longest head that hyper is to read over HTTP/1.1. Room for what this crate then answers better than hyper can.
    pub(crate) fn head_bytes(&self) -> usize {
        // The method, the version, spaces and line ends.
        const REST: usize = 256;
        (self.max_uri_bytes + self.max_header_bytes).saturating_mul(2) + REST
    }

    /// The same over HTTP/2, where every field counts for 32 bytes more (RFC 9113 section 6.5.2).
    pub(crate) fn header_list_bytes(&self) -> u32 {
        const PER_FIELD: usize = 32;
        const PSEUDO_FIELDS: usize = 5;
        let fields = (self.max_headers + PSEUDO_FIELDS) * PER_FIELD;
        u32::try_from(self.max_uri_bytes + self.max_header_bytes + fields).unwrap_or(u32::MAX)
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            protocols: Protocols::Both,
            header_read_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(75)),
            request_timeout: None,
            linger: Duration::from_secs(5),
            max_age: None,
            max_requests: None,
            max_uri_bytes: 4096,
            max_header_bytes: 8192,
            max_headers: 100,
            max_body_bytes: None,
            min_request_rate: Some(MinRate::default()),
            min_response_rate: Some(MinRate::default()),
            date_header: true,
            server_header: None,
            http2_max_streams: 100,
            http2_stream_window: 1 << 20,
            http2_connection_window: 1 << 20,
            http2_adaptive_window: false,
            http2_max_frame_size: 16_384,
            http2_max_send_buffer: 400 << 10,
            http2_keep_alive: Some(Duration::from_secs(20)),
            http2_frame_limit: Some(FrameLimit::default()),
            http2_spawn_streams: false,
            http2_max_pending_resets: 20,
            http2_max_refused: 1024,
        }
    }
}

/// Changes [`HttpSettings`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct HttpSettingsBuilder {
    settings: HttpSettings,
    server_header: Option<String>,
}

impl HttpSettingsBuilder {
    /// Which versions are spoken. The default is both.
    ///
    /// After TLS, the first bytes say what ALPN has agreed on; a peer that breaks its word is served all the same. An upgrade to
    /// `h2c`, which RFC 9113 section 3.1 has abolished, is ignored: such a request is answered over HTTP/1.1.
    pub const fn protocols(mut self, protocols: Protocols) -> Self {
        self.settings.protocols = protocols;
        self
    }

    /// How long a peer may take to send the head of a request, from its first byte to its last. The default is 30 s, hyper's own.
    ///
    /// Then the connection is closed without a response. The head of the first request has to be complete so long after the
    /// connection was accepted; over HTTP/2, the preface has to be. Zero closes every connection on which the first request has
    /// not come by the time it is first looked at: it is of no use, and no error.
    pub fn header_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.header_read_timeout = capped(timeout);
        self
    }

    /// How long a connection is kept without a request. The default is 75 s.
    ///
    /// Load balancers keep theirs for 60 s, most of them: a listener that closes first gets requests into connections that are
    /// closing. Over HTTP/2 the end is a `GOAWAY`.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = capped(timeout);
        self
    }

    /// How long the service may take from the head of a request to that of its response. The default is `None`: only the service
    /// knows what takes long.
    ///
    /// Then the service's future is dropped, and the answer is a 503 with problem details. 504 would blame an upstream, and 408
    /// the peer. A response's body is not limited: it may be a stream of events.
    pub fn request_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.request_timeout = capped(timeout);
        self
    }

    /// How long a peer may take to close, after its last response, what is closed on this side. The default is 5 s.
    ///
    /// A socket that is closed while bytes of the peer are unread is reset, and what is on its way to the peer is lost (RFC 9112
    /// section 9.6). A peer that works closes at once. Zero does not wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger.min(FOREVER);
        self
    }

    /// How old a connection may get. The default is `None`.
    ///
    /// Then it takes no more requests, by `Connection: close` or `GOAWAY`, and ends with those in flight. So clients that keep their
    /// connections for ever come to know of new listeners behind the same balancer.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.settings.max_age = capped(age);
        self
    }

    /// How many requests a connection may bring, before it ends as it does at its [`max_age`](Self::max_age). The default is `None`.
    ///
    /// Over HTTP/1.1 it is exact. Over HTTP/2, streams that the peer opened before it saw the `GOAWAY` are served, too.
    pub fn max_requests(mut self, requests: impl Into<Option<u64>>) -> Self {
        self.settings.max_requests = requests.into();
        self
    }

    /// How long a request's target may be. The default is 4096 bytes, Ballerina's. A longer one is answered by a 414.
    ///
    /// Counted is what was sent: path and query, and scheme and authority where they were.
    pub const fn max_uri_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_uri_bytes = bytes;
        self
    }

    /// How long the header section of a request may be. The default is 8192 bytes, which is that of Ballerina, nginx and Apache. A
    /// longer one is answered by a 431.
    ///
    /// Counted are names, values, and four bytes for what is round them. A head of more than twice what is allowed is not read to its
    /// end: hyper answers that itself, without a body, and closes.
    pub const fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_header_bytes = bytes;
        self
    }

    /// How many header fields a request may have. The default is 100, hyper's own. More are answered by a 431; over HTTP/1.1 hyper
    /// does that itself, without a body, and closes.
    pub const fn max_headers(mut self, headers: usize) -> Self {
        self.settings.max_headers = headers;
        self
    }

    /// How long the body of a request may be. The default is `None`: it is a stream, and takes memory only where somebody collects
    /// it.
    ///
    /// A request that says so in its `Content-Length` is answered by a 413 at once, and the service is not called. Others fail when
    /// they get there: the service's body ends with `http_body_util`'s `LengthLimitError`, of which axum makes a 413, and so does
    /// the listener if the service passes the error on.
    ///
    /// This is the most that any route takes. Routes that take less have [tower-http's `RequestBodyLimitLayer`]
    /// on them.
    ///
    /// [tower-http's `RequestBodyLimitLayer`]: https://docs.rs/tower-http/latest/tower_http/limit/struct.RequestBodyLimitLayer.html
    pub fn max_body_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.settings.max_body_bytes = bytes.into();
        self
    }

    /// How fast a peer has to send the body of a request. The default is [`MinRate::default`]. Other names for who is slower are
    /// "slow body" and "R-U-Dead-Yet".
    ///
    /// Only the time for which the service waits for the body counts. Then the body fails with a
    /// [`RequestBodyError`](crate::RequestBodyError); if the service passes that on, the answer is a 408. Bodies of gRPC
    /// (`application/grpc`) are streams that may well be silent, and are not measured.
    pub fn min_request_rate(mut self, rate: impl Into<Option<MinRate>>) -> Self {
        self.settings.min_request_rate = rate.into();
        self
    }

    /// How fast a peer has to read responses. The default is [`MinRate::default`]. Another name for who is slower is "slow read".
    ///
    /// Only time in which there is something to read counts; a response that the service is slow to send has none. All responses
    /// of a connection are measured together. Then it is closed.
    ///
    /// What the system's buffer takes counts as read, and it takes more when a part of it is free again. With
    /// [`Bind::notsent_lowat`](crate::Bind::notsent_lowat) at its default, on Linux, that is 32 KiB: a peer that takes less within the grace, about 1 kB per
    /// second, is closed although it reads. Without, the buffer grows with what a connection carries, and the part is a third of up
    /// to 4 MiB, as with nginx's `send_timeout`.
    pub fn min_response_rate(mut self, rate: impl Into<Option<MinRate>>) -> Self {
        self.settings.min_response_rate = rate.into();
        self
    }

    /// Whether responses say when they were made, in `Date`. The default is `true` (RFC 9110 section 6.6.1).
    pub const fn date_header(mut self, date: bool) -> Self {
        self.settings.date_header = date;
        self
    }

    /// What responses say in `Server`, if the service does not. The default is nothing: it helps whoever looks for a hole.
    pub fn server_header(mut self, server: impl Into<String>) -> Self {
        self.server_header = Some(server.into());
        self
    }

    /// How many requests may be in flight on one HTTP/2 connection. The default is 100, the least that RFC 9113 section 6.5.2
    /// recommends.
    pub const fn http2_max_streams(mut self, streams: u32) -> Self {
        self.settings.http2_max_streams = streams;
        self
    }

    /// How many bytes of a request's body a peer may send over HTTP/2 before the service reads. The default is 1 MiB, hyper's.
    pub const fn http2_stream_window(mut self, bytes: u32) -> Self {
        self.settings.http2_stream_window = bytes;
        self
    }

    /// The same for all requests of a connection, which bounds the memory they take. The default is 1 MiB, hyper's.
    pub const fn http2_connection_window(mut self, bytes: u32) -> Self {
        self.settings.http2_connection_window = bytes;
        self
    }

    /// Whether each stream of an HTTP/2 connection is a task of its own from the start. The default is `false`: the connection's task polls
    /// it once, which is all that most need, and what is not done then becomes a task.
    ///
    /// `true` is for services that block their thread, also by `block_in_place`, until something else happens on the same connection, such
    /// as the arrival of their own request's body. By default, as over HTTP/1.1 in any case, they would wait for ever, and everything
    /// else on the connection with them. It costs a tenth of the requests per second on one thread, and more on several.
    pub const fn http2_spawn_streams(mut self, spawn: bool) -> Self {
        self.settings.http2_spawn_streams = spawn;
        self
    }

    /// Whether both windows grow, up to 16 MiB, with what the connection can carry. They begin at 65,535 bytes then. The default is
    /// `false`.
    pub const fn http2_adaptive_window(mut self, adaptive: bool) -> Self {
        self.settings.http2_adaptive_window = adaptive;
        self
    }

    /// The longest payload of a frame that a peer may send. The default is 16,384 bytes, the least there is.
    pub const fn http2_max_frame_size(mut self, bytes: u32) -> Self {
        self.settings.http2_max_frame_size = bytes;
        self
    }

    /// How much of each response is kept for a peer that does not read it. The default is 400 KiB, hyper's.
    pub const fn http2_max_send_buffer(mut self, bytes: u32) -> Self {
        self.settings.http2_max_send_buffer = bytes;
        self
    }

    /// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so. The default is 20 s.
    ///
    /// Often enough that a peer which vanished costs a connection for less than a minute, and seldom enough to be no load.
    pub fn http2_keep_alive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.http2_keep_alive = capped(interval);
        self
    }

    /// How many frames may come that bring no request any further. The default is [`FrameLimit::default`].
    ///
    /// It is what stops rapid resets (CVE-2023-44487) and floods of `PING`, `SETTINGS`, `PRIORITY` and `WINDOW_UPDATE`. h2 has limits of
    /// its own against small and empty `DATA` frames, `CONTINUATION` floods (CVE-2024-27316) and resets that it is made to send
    /// (CVE-2025-8671).
    pub fn http2_frame_limit(mut self, limit: impl Into<Option<FrameLimit>>) -> Self {
        self.settings.http2_frame_limit = limit.into();
        self
    }

    /// How many streams may wait to be looked at after their peer has reset them already. The default is 20, h2's.
    pub const fn http2_max_pending_resets(mut self, streams: usize) -> Self {
        self.settings.http2_max_pending_resets = streams;
        self
    }

    /// How many streams of a connection may be refused for an error of the peer's. The default is 1024, hyper's.
    pub const fn http2_max_refused(mut self, streams: usize) -> Self {
        self.settings.http2_max_refused = streams;
        self
    }

    /// The settings.
    ///
    /// # Errors
    ///
    /// If one of them cannot work.
    pub fn build(self) -> Result<HttpSettings, ConfigError> {
        let mut settings = self.settings;
        if let Some(server) = self.server_header {
            let value = HeaderValue::from_str(&server).map_err(|error| {
                ConfigError::new("server_header", &server, "visible ASCII").with_source(error)
            })?;
            settings.server_header = Some(value);
        }
        // hyper's own buffer holds so much whatever is set; less than this would be no request.
        within("max_uri_bytes", settings.max_uri_bytes, 1, 65_534)?;
        within("max_header_bytes", settings.max_header_bytes, 64, 1 << 20)?;
        within("max_headers", settings.max_headers, 1, 10_000)?;
        let streams = settings.http2_max_streams;
        if streams == 0 {
            return Err(ConfigError::new("http2_max_streams", 0, "at least 1"));
        }
        for (field, window) in [
            ("http2_stream_window", settings.http2_stream_window),
            ("http2_connection_window", settings.http2_connection_window),
        ] {
            // Below, the connection would begin with more than it is to have.
            if !(65_535..=0x7fff_ffff).contains(&window) {
                let expected = "65535 to 2147483647 (RFC 9113 section 6.9.2)";
                return Err(ConfigError::new(field, window, expected));
            }
        }
        let frame = settings.http2_max_frame_size;
        if !(16_384..=0x00ff_ffff).contains(&frame) {
            let expected = "16384 to 16777215 (RFC 9113 section 6.5.2)";
            return Err(ConfigError::new("http2_max_frame_size", frame, expected));
        }
        // Every client begins with a few.
        if let Some(limit) = settings.http2_frame_limit.filter(|limit| limit.burst < 10) {
            let field = "http2_frame_limit.burst";
            return Err(ConfigError::new(field, limit.burst, "at least 10"));
        }
        if settings.max_requests == Some(0) {
            return Err(ConfigError::new("max_requests", 0, "at least 1"));
        }
        if settings
            .http2_keep_alive
            .is_some_and(|interval| interval.is_zero())
        {
            return Err(ConfigError::new(
                "http2_keep_alive",
                "0s",
                "a time above zero",
            ));
        }
        Ok(settings)
    }
}

fn within(field: &'static str, value: usize, least: usize, most: usize) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(field, value, format!("{least} to {most}")))
}

/// No longer than the clock can count.
pub(crate) fn capped(timeout: impl Into<Option<Duration>>) -> Option<Duration> {
    timeout.into().map(|timeout| timeout.min(FOREVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        HttpSettings::builder().build().expect("valid");
    }

    #[test]
    fn names_what_is_wrong() {
        let builder = HttpSettings::builder;
        for (builder, field) in [
            (builder().max_uri_bytes(0), "max_uri_bytes"),
            (builder().max_header_bytes(2 << 20), "max_header_bytes"),
            (builder().max_headers(0), "max_headers"),
            (builder().http2_max_streams(0), "http2_max_streams"),
            (builder().http2_stream_window(1), "http2_stream_window"),
            (
                builder().http2_connection_window(u32::MAX),
                "http2_connection_window",
            ),
            (
                builder().http2_max_frame_size(1 << 24),
                "http2_max_frame_size",
            ),
            (
                builder().http2_keep_alive(Duration::ZERO),
                "http2_keep_alive",
            ),
            (builder().max_requests(0), "max_requests"),
            (
                builder().http2_frame_limit(FrameLimit {
                    burst: 1,
                    per_second: 1,
                }),
                "http2_frame_limit.burst",
            ),
            (builder().server_header("a\nb"), "server_header"),
        ] {
            assert_eq!(builder.build().expect_err(field).field(), field);
        }
    }

    #[test]
    fn hyper_reads_more_than_is_allowed_so_that_the_answer_is_ours() {
        let settings = HttpSettings::default();
        assert!(settings.head_bytes() > settings.max_uri_bytes + settings.max_header_bytes);
    }
}
