//! Fetching what is missing, by a service that can be replaced.

use std::{error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use ::http::{HeaderValue, Uri, header};
use bartizan_core::BoxError;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tower_service::Service;

use super::Method;

/// The most that a question may be in an address.
const MAX_GET: usize = 255;

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
    /// The question to a responder, in DER. `None` for a list.
    pub body: Option<Bytes>,
    /// How many bytes there may be in the answer. The service should read no more.
    pub max_size: usize,
}

impl FetchRequest {
    /// As an HTTP request, for a service over any HTTP client. That one should follow no redirects.
    pub fn to_http<B: From<Bytes>>(&self) -> ::http::Request<B> {
        let mut request = self.without_body(self.uri.clone());
        if let Some(body) = &self.body {
            let content = HeaderValue::from_static("application/ocsp-request");
            request.headers_mut().insert(header::CONTENT_TYPE, content);
            *request.method_mut() = ::http::Method::POST;
            *request.body_mut() = B::from(body.clone());
        }
        request
    }

    /// The same question to a responder as a GET, whose answer caches on the way may have (RFC 6960 appendix A.1). `None` for a list,
    /// which is asked for by GET anyway; for an address that has a query; and if it makes more than 255 bytes (RFC 5019 section 5).
    ///
    /// RFC 5019 has clients ask so, and public CAs have to answer it (CA/Browser Forum, Baseline Requirements, section 4.9.10); that
    /// they answer a POST is asked of nobody. A small responder of one's own may know the POST alone. So try this first, and
    /// [`to_http`](Self::to_http) if it is not understood, as `HttpFetcher` does.
    ///
    /// ```
    /// # #[cfg(feature = "aws-lc")] {
    /// use bartizan_tls::{Provider, revocation::{FetchRequest, Method, Revocation}};
    /// use bytes::Bytes;
    /// use std::io;
    ///
    /// let fetcher = tower::service_fn(|request: FetchRequest| async move {
    ///     match request.to_get::<Bytes>() {
    ///         Some(get) => assert_eq!(get.method(), "GET"),
    ///         None => assert_eq!(request.method, Method::Crl),
    ///     }
    ///     Err::<Bytes, _>(io::Error::other("no network here"))
    /// });
    /// assert!(Revocation::of_servers(&Provider::aws_lc()).fetcher(fetcher).build().is_ok());
    /// # }
    /// ```
    pub fn to_get<B: From<Bytes>>(&self) -> Option<::http::Request<B>> {
        if self.uri.query().is_some() {
            return None;
        }
        // What base64 has beside letters and digits means something in an address.
        let question = STANDARD.encode(self.body.as_ref()?);
        let question = question
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        if question.len() > MAX_GET {
            return None;
        }
        let address = self.uri.to_string();
        let address = format!("{}/{question}", address.trim_end_matches('/'));
        Some(self.without_body(address.parse().ok()?))
    }

    fn without_body<B: From<Bytes>>(&self, uri: Uri) -> ::http::Request<B> {
        let mut request = ::http::Request::new(B::from(Bytes::new()));
        *request.uri_mut() = uri;
        let accept = match self.method {
            Method::Crl => "application/pkix-crl",
            _ => "application/ocsp-response",
        };
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
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
