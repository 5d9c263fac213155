//! The layer, and how it is set.

use std::sync::Arc;

use http::{HeaderName, header};
use tower_layer::Layer;
use tracing::Level;

use super::{Detail, LoggingService, settings::Settings};

/// Logs each call as an event of `tracing`. See the [module](super) for what is left out.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, logging::LoggingLayer};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::empty())) });
/// let client = ServiceBuilder::new().layer(LoggingLayer::new()).service(server);
/// // INFO call method=GET uri=http://h/users status=200 version=HTTP/1.1 head_ms=0 total_ms=0 bytes=0 outcome=complete
/// let response = client.get("http://h/users?token=secret").send().await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// At another level, with headers and up to 1 KiB of each body, and one more header left out:
///
/// ```
/// use bartizan_client::logging::{Detail, LoggingLayer};
/// use http::HeaderName;
///
/// let layer = LoggingLayer::new()
///     .level(tracing::Level::DEBUG)
///     .detail(Detail::Body(1024))
///     .redact(HeaderName::from_static("x-api-key"));
/// assert!(format!("{layer:?}").contains("x-api-key"));
/// ```
#[derive(Clone, Debug)]
pub struct LoggingLayer {
    settings: Arc<Settings>,
}

impl LoggingLayer {
    /// A layer that logs a [`Detail::Summary`] at the level `INFO`.
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings {
                level: Level::INFO,
                detail: Detail::Summary,
                redacted: vec![
                    header::AUTHORIZATION,
                    header::PROXY_AUTHORIZATION,
                    header::COOKIE,
                    header::SET_COOKIE,
                ],
                shows_query: false,
            }),
        }
    }

    /// Sets the level of the events.
    ///
    /// Default: `INFO`. Who adds the layer wants to see it.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        self.with(|settings| settings.level = level)
    }

    /// Sets how much is logged.
    ///
    /// Default: [`Detail::Summary`].
    #[must_use]
    pub fn detail(self, detail: Detail) -> Self {
        self.with(|settings| settings.detail = detail)
    }

    /// Leaves out the values of one more header.
    #[must_use]
    pub fn redact(self, name: HeaderName) -> Self {
        self.with(|settings| settings.redacted.push(name))
    }

    /// Sets whether the query of the URI is logged.
    ///
    /// Default: no, as queries hold keys and names of people.
    #[must_use]
    pub fn show_query(self, shows_query: bool) -> Self {
        self.with(|settings| settings.shows_query = shows_query)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for LoggingLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for LoggingLayer {
    type Service = LoggingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoggingService {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}
