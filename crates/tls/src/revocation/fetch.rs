//! Fetching what is missing, by a service that can be replaced.

use std::{error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use ::http::Uri;
use bartizan_core::BoxError;
use bytes::Bytes;
use tower_service::Service;

use super::Method;

/// What a fetcher is asked for: a tower service that answers with the body.
///
/// The engine limits the time and checks the size of what comes back, whatever service it is. Nothing that comes back is believed but
/// for its signature.
///
/// The addresses stand in certificates of paths that were verified: your CAs wrote them. If you trust CAs that you would not let choose
/// what this machine connects to, have the service refuse addresses that are not public.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchRequest {
    /// [`Method::Crl`] or [`Method::Ocsp`].
    pub method: Method,
    /// Where: plain `http`.
    pub uri: Uri,
    /// What to POST, as `application/ocsp-request`. `None` for a GET.
    pub body: Option<Bytes>,
    /// How many bytes there may be in the answer. The service should read no more.
    pub max_size: usize,
}

impl FetchRequest {
    /// As an HTTP request, for a service over any HTTP client. That one should follow no redirects.
    pub fn to_http<B: From<Bytes>>(&self) -> ::http::Request<B> {
        let mut request = ::http::Request::new(B::from(self.body.clone().unwrap_or_default()));
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        let accept = match self.method {
            Method::Crl => "application/pkix-crl",
            _ => "application/ocsp-response",
        };
        headers.insert(
            ::http::header::ACCEPT,
            ::http::HeaderValue::from_static(accept),
        );
        if self.body.is_some() {
            let content = ::http::HeaderValue::from_static("application/ocsp-request");
            headers.insert(::http::header::CONTENT_TYPE, content);
            *request.method_mut() = ::http::Method::POST;
        }
        request
    }
}

type Fetching = Pin<Box<dyn Future<Output = Result<Bytes, BoxError>> + Send>>;

/// A fetcher of any type. A fetch is rare, and behind a network: the box does not show.
#[derive(Clone)]
pub(super) struct Fetcher {
    fetch: Arc<dyn Fn(FetchRequest) -> Fetching + Send + Sync>,
    timeout: Duration,
}

impl Fetcher {
    pub(super) fn new<S>(service: S, timeout: Duration) -> Self
    where
        S: Service<FetchRequest, Response = Bytes> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Self {
            fetch: Arc::new(move |request| {
                let mut service = service.clone();
                Box::pin(async move {
                    // The clone that is made ready is the one that is called.
                    std::future::poll_fn(|cx| service.poll_ready(cx))
                        .await
                        .map_err(Into::into)?;
                    service.call(request).await.map_err(Into::into)
                })
            }),
            timeout,
        }
    }

    /// The bytes, within the limits.
    pub(super) async fn fetch(&self, request: FetchRequest) -> Result<Bytes, Failure> {
        let (uri, max_size) = (shown(&request.uri), request.max_size);
        let fetched = tokio::time::timeout(self.timeout, (self.fetch)(request)).await;
        match fetched {
            Ok(Ok(bytes)) if bytes.len() <= max_size => Ok(bytes),
            Ok(Ok(_)) => Err(Failure::new(format!(
                "{uri} sent more than {max_size} bytes"
            ))),
            Ok(Err(error)) => {
                let failure = Failure::new(format!("{uri} could not be fetched"));
                Err(failure.with_source(error))
            }
            Err(_) => {
                let timeout = self.timeout;
                Err(Failure::new(format!(
                    "{uri} did not answer within {timeout:?}"
                )))
            }
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Without the query, which may be secret.
pub(super) fn shown(uri: &Uri) -> String {
    let host = uri.authority().map_or("", |authority| authority.as_str());
    format!("http://{host}{}", uri.path())
}

/// Why it is not known whether a certificate was revoked.
#[derive(Debug)]
pub(super) struct Failure {
    what: String,
    source: Option<BoxError>,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
