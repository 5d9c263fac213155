//! How HTTP is spoken, as configuration.

use std::time::Duration;

use bartizan_core::ConfigError;

#[cfg(feature = "serde")]
use super::text;
use crate::{FrameLimit, HttpSettings, MinRate, Protocols};

/// How HTTP is spoken, and what a peer may ask of it: see [`HttpSettingsBuilder`](crate::HttpSettingsBuilder), whose defaults and
/// reasons these are. How long the head of a request may take is among the [timeouts](super::TimeoutConfig).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
#[non_exhaustive]
pub struct HttpConfig {
    /// Which versions: `both`, `http1` or `http2`. The default is both, told apart by the first bytes.
    pub protocols: Protocols,
    /// How long a connection may have no request. Text, such as `75s`, or `none`. The default is 75 s.
    #[cfg_attr(feature = "serde", serde(with = "text::optional_duration"))]
    pub idle_timeout: Option<Duration>,
    /// How long the service may take to answer. Text, or `none`. The default is none.
    #[cfg_attr(feature = "serde", serde(with = "text::optional_duration"))]
    pub request_timeout: Option<Duration>,
    /// How long a peer may take to close, after its last response. Text, such as `5s`. The default is 5 s.
    #[cfg_attr(feature = "serde", serde(with = "text::duration"))]
    pub linger: Duration,
    /// How old a connection may get. Text, or `none`. The default is none.
    #[cfg_attr(feature = "serde", serde(with = "text::optional_duration"))]
    pub max_age: Option<Duration>,
    /// How many requests a connection may carry. The default is `None`: no limit.
    pub max_requests: Option<u64>,
    /// Bytes of a request's target. The default is 4096.
    pub max_uri_bytes: usize,
    /// Bytes of a request's header section. The default is 8192.
    pub max_header_bytes: usize,
    /// Fields of a request's header section. The default is 100.
    pub max_headers: usize,
    /// Bytes of a request's body. The default is `None`: no limit.
    pub max_body_bytes: Option<u64>,
    /// The least speed of a request's body. The default is 240 bytes per second after 30 s; `None` is no limit.
    pub min_request_rate: Option<RateConfig>,
    /// The least speed at which a response is taken. The default is 240 bytes per second after 30 s; `None` is no limit.
    pub min_response_rate: Option<RateConfig>,
    /// Whether responses say when they were made, in `Date`. The default is `true`.
    pub date_header: bool,
    /// The `Server` header. The default is `None`: nobody needs to know.
    pub server_header: Option<String>,
    /// Streams at once on an HTTP/2 connection. The default is 100.
    pub http2_max_streams: u32,
    /// Bytes of a request's body that a peer may send over HTTP/2 before the service reads. The default is 1,048,576.
    pub http2_stream_window: u32,
    /// The same for all requests of a connection. The default is 1,048,576.
    pub http2_connection_window: u32,
    /// Whether both windows grow with what the connection can carry. The default is `false`.
    pub http2_adaptive_window: bool,
    /// Bytes of an HTTP/2 frame's payload. The default is 16,384.
    pub http2_max_frame_size: u32,
    /// Bytes of each response that are kept for an HTTP/2 peer that does not read. The default is 409,600.
    pub http2_max_send_buffer: u32,
    /// Streams that may wait to be looked at after their peer has reset them. The default is 20.
    pub http2_max_pending_resets: usize,
    /// Streams of a connection that may be refused for an error of the peer's. The default is 1024.
    pub http2_max_refused: usize,
    /// How often an HTTP/2 peer is asked whether it is there. Text, or `none`. The default is 20 s.
    #[cfg_attr(feature = "serde", serde(with = "text::optional_duration"))]
    pub http2_keep_alive: Option<Duration>,
    /// HTTP/2 frames that bring no request any further. The default is 1000 at once and 100 per second; `None` is no limit.
    pub http2_frame_limit: Option<FrameLimit>,
    /// Whether each HTTP/2 stream is a task from the start, for services that block. The default is `false`.
    pub http2_spawn_streams: bool,
}

/// The least speed of a body: see [`MinRate`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RateConfig {
    /// The speed. There is no default.
    pub bytes_per_second: u32,
    /// How long the peer may be slower. Text, such as `30s`. There is no default.
    #[cfg_attr(feature = "serde", serde(with = "text::duration"))]
    pub grace: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        // All by their names: what is added there cannot be forgotten here.
        let HttpSettings {
            protocols,
            header_read_timeout: _,
            idle_timeout,
            request_timeout,
            linger,
            max_age,
            max_requests,
            max_uri_bytes,
            max_header_bytes,
            max_headers,
            max_body_bytes,
            min_request_rate,
            min_response_rate,
            date_header,
            server_header: _,
            http2_max_streams,
            http2_stream_window,
            http2_connection_window,
            http2_adaptive_window,
            http2_max_frame_size,
            http2_max_send_buffer,
            http2_keep_alive,
            http2_frame_limit,
            http2_max_pending_resets,
            http2_max_refused,
            http2_spawn_streams,
        } = HttpSettings::default();
        let rate = |rate: MinRate| RateConfig {
            bytes_per_second: rate.bytes_per_second(),
            grace: rate.grace(),
        };
        Self {
            protocols,
            idle_timeout,
            request_timeout,
            linger,
            max_age,
            max_requests,
            max_uri_bytes,
            max_header_bytes,
            max_headers,
            max_body_bytes,
            min_request_rate: min_request_rate.map(rate),
            min_response_rate: min_response_rate.map(rate),
            date_header,
            server_header: None,
            http2_max_streams,
            http2_stream_window,
            http2_connection_window,
            http2_adaptive_window,
            http2_max_frame_size,
            http2_max_send_buffer,
            http2_max_pending_resets,
            http2_max_refused,
            http2_keep_alive,
            http2_frame_limit,
            http2_spawn_streams,
        }
    }
}

/// The error of a field of `outer`.
pub(super) fn within(outer: &str, error: ConfigError) -> ConfigError {
    let field = format!("{outer}.{}", error.field());
    error.in_field(field)
}

impl HttpConfig {
    /// The settings, with `header_read` as the time for the head of a request.
    ///
    /// # Errors
    ///
    /// If a field has a value that it may not have. The error names it.
    pub fn settings(&self, header_read: Option<Duration>) -> Result<HttpSettings, ConfigError> {
        let rate = |field: &str, rate: &Option<RateConfig>| {
            let rate = rate.as_ref();
            let made = rate.map(|rate| MinRate::try_new(rate.bytes_per_second, rate.grace));
            made.transpose().map_err(|error| within(field, error))
        };
        let mut builder = HttpSettings::builder()
            .protocols(self.protocols)
            .header_read_timeout(header_read)
            .idle_timeout(self.idle_timeout)
            .request_timeout(self.request_timeout)
            .linger(self.linger)
            .max_age(self.max_age)
            .max_requests(self.max_requests)
            .max_uri_bytes(self.max_uri_bytes)
            .max_header_bytes(self.max_header_bytes)
            .max_headers(self.max_headers)
            .max_body_bytes(self.max_body_bytes)
            .min_request_rate(rate("min_request_rate", &self.min_request_rate)?)
            .min_response_rate(rate("min_response_rate", &self.min_response_rate)?)
            .date_header(self.date_header)
            .http2_max_streams(self.http2_max_streams)
            .http2_stream_window(self.http2_stream_window)
            .http2_connection_window(self.http2_connection_window)
            .http2_adaptive_window(self.http2_adaptive_window)
            .http2_max_frame_size(self.http2_max_frame_size)
            .http2_max_send_buffer(self.http2_max_send_buffer)
            .http2_max_pending_resets(self.http2_max_pending_resets)
            .http2_max_refused(self.http2_max_refused)
            .http2_keep_alive(self.http2_keep_alive)
            .http2_frame_limit(self.http2_frame_limit)
            .http2_spawn_streams(self.http2_spawn_streams);
        if let Some(server) = &self.server_header {
            builder = builder.server_header(server);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_builder() {
        let defaults = HttpSettings::default();
        let configured = HttpConfig::default().settings(defaults.header_read_timeout);
        let configured = configured.expect("valid");
        assert_eq!(format!("{configured:?}"), format!("{defaults:?}"));
    }

    /// Each setting, changed: one that were not passed on would have its default.
    #[test]
    fn every_field_reaches_the_settings() {
        let second = Some(Duration::from_secs(1));
        let rate = Some(RateConfig {
            bytes_per_second: 1,
            grace: Duration::from_secs(1),
        });
        let config = HttpConfig {
            protocols: Protocols::Http2,
            idle_timeout: second,
            request_timeout: second,
            linger: Duration::from_secs(1),
            max_age: second,
            max_requests: Some(1),
            max_uri_bytes: 1,
            max_header_bytes: 64,
            max_headers: 1,
            max_body_bytes: Some(1),
            min_request_rate: rate.clone(),
            min_response_rate: rate,
            date_header: false,
            server_header: Some("a".into()),
            http2_max_streams: 1,
            http2_stream_window: 70_000,
            http2_connection_window: 70_000,
            http2_adaptive_window: true,
            http2_max_frame_size: 20_000,
            http2_max_send_buffer: 1,
            http2_max_pending_resets: 1,
            http2_max_refused: 1,
            http2_keep_alive: second,
            http2_frame_limit: None,
            http2_spawn_streams: true,
        };
        let changed = config.settings(second).expect("valid");
        let default = HttpSettings::default();
        macro_rules! assert_all_differ {
            ($($field:ident)*) => {
                // All there are.
                let HttpSettings { $($field: _),* } = &changed;
                $({
                    let (changed, default) = (&changed.$field, &default.$field);
                    assert_ne!(format!("{changed:?}"), format!("{default:?}"), stringify!($field));
                })*
            };
        }
        assert_all_differ! {
            protocols header_read_timeout idle_timeout request_timeout linger max_age max_requests max_uri_bytes max_header_bytes
            max_headers max_body_bytes min_request_rate min_response_rate date_header server_header http2_max_streams
            http2_stream_window http2_connection_window http2_adaptive_window http2_max_frame_size http2_max_send_buffer
            http2_keep_alive http2_frame_limit http2_max_pending_resets http2_max_refused http2_spawn_streams
        }
    }
}
