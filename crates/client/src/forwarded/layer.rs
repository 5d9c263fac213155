//! The layer and its service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, header::FORWARDED};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    ForwardedElement,
    parse::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO},
};

const LEGACY: [HeaderName; 3] = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

/// Says on whose behalf requests are made. See the [module](super).
#[derive(Clone, Debug, Default)]
pub struct ForwardedLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    mode: ForwardedMode,
    headers: ForwardedHeaders,
    element: Option<ForwardedElement>,
}

/// What becomes of the headers that say on whose behalf a request is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardedMode {
    /// Nothing: the layer might as well not be there.
    Disable,
    /// The request's element is added.
    #[default]
    Enable,
    /// `X-Forwarded-*` is made `Forwarded`, and the request's element added to that.
    Transition,
    /// All of them are removed, and nothing is added.
    Remove,
}

/// Which headers an element is written to, when it is [enabled](ForwardedMode::Enable).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardedHeaders {
    /// `Forwarded`.
    #[default]
    Standard,
    /// `X-Forwarded-For`, to which the address is added, and `X-Forwarded-Host` and `X-Forwarded-Proto`, which are set if they are
    /// not there yet: they are those of the first request.
    Legacy,
    /// All of them.
    Both,
}

impl ForwardedLayer {
    /// Adds each request's element to `Forwarded`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does something else. Default: [`Enable`](ForwardedMode::Enable).
    #[must_use]
    pub fn mode(self, mode: ForwardedMode) -> Self {
        self.with(|settings| settings.mode = mode)
    }

    /// Writes other headers. Default: [`Standard`](ForwardedHeaders::Standard). A transition writes that anyway.
    #[must_use]
    pub fn headers(self, headers: ForwardedHeaders) -> Self {
        self.with(|settings| settings.headers = headers)
    }

    /// What requests say that have no [`ForwardedElement`] among their extensions. Default: nothing.
    #[must_use]
    pub fn element(self, element: ForwardedElement) -> Self {
        self.with(|settings| settings.element = Some(element))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for ForwardedLayer {
    type Service = Forwarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Forwarded {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}

/// The service of a [`ForwardedLayer`].
#[derive(Clone, Debug)]
pub struct Forwarded<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B> Service<Request<B>> for Forwarded<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let given = request.extensions().get().cloned();
        let element: Option<ForwardedElement> = given.or_else(|| self.settings.element.clone());
        let element = element.filter(|element| !element.is_empty());
        self.settings.apply(request.headers_mut(), element.as_ref());
        self.inner.call(request)
    }
}

impl Settings {
    fn apply(&self, headers: &mut HeaderMap, element: Option<&ForwardedElement>) {
        match self.mode {
            ForwardedMode::Disable => {}
            ForwardedMode::Remove => {
                headers.remove(FORWARDED);
                remove_legacy(headers);
            }
            ForwardedMode::Transition => {
                if !headers.contains_key(FORWARDED) {
                    for hop in ForwardedElement::of_legacy(headers) {
                        append(headers, FORWARDED, &hop.to_string());
                    }
                }
                remove_legacy(headers);
                if let Some(element) = element {
                    append(headers, FORWARDED, &element.to_string());
                }
            }
            ForwardedMode::Enable => {
                let Some(element) = element else { return };
                if self.headers != ForwardedHeaders::Legacy {
                    append(headers, FORWARDED, &element.to_string());
                }
                if self.headers != ForwardedHeaders::Standard {
                    add_legacy(headers, element);
                }
            }
        }
    }
}

fn remove_legacy(headers: &mut HeaderMap) {
    for name in LEGACY {
        headers.remove(name);
    }
}

fn add_legacy(headers: &mut HeaderMap, element: &ForwardedElement) {
    if let Some(client) = element.client() {
        append(headers, X_FORWARDED_FOR, &client.to_legacy());
    }
    let firsts = [
        (X_FORWARDED_HOST, element.host()),
        (X_FORWARDED_PROTO, element.proto()),
    ];
    for (name, value) in firsts {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            headers.entry(name).or_insert(value);
        }
    }
}

/// Adds a member to a list, in one field: there are readers that look at the first alone.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(&name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member.as_bytes());
    // Members are made of what may stand in headers, and lists of such headers.
    if let Ok(list) = HeaderValue::from_maybe_shared(bytes::Bytes::from(list)) {
        headers.insert(name, list);
    }
}
