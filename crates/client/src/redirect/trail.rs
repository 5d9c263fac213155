//! What is sent next: the pure part.

use std::sync::Arc;

use bartizan_core::Replay;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use super::{
    Ending, FinalUri, Redirect, RedirectDecision, RedirectError, RedirectHistory, RedirectHop,
    Redirects,
    error::Why,
    location::{self, Base, Target},
    rules::{drop_content_headers, leave_secrets, next_method},
};
use crate::{ConnectionInfo, connect::ConnectOptions, error::Call, kept_headers::KeptHeaders};

/// What it takes to send the last request again, and what became of those before it.
pub(super) struct Trail<B> {
    redirects: Redirects,
    limit: usize,
    sent: Sent,
    /// `None` if there was only one.
    body: Option<B>,
    fragment: Option<Arc<str>>,
    history: Vec<RedirectHop>,
}

/// The head of the last request.
struct Sent {
    method: Method,
    uri: Uri,
    version: Version,
    headers: KeptHeaders,
    extensions: Extensions,
}

/// What becomes of a redirect, but for its body.
enum Verdict {
    Follow,
    End(End),
}

/// Why a call ends with a redirect: `None` if the response is the caller's.
type End = Option<RedirectError>;

/// What becomes of a response.
pub(super) enum Next<B> {
    /// It is the caller's.
    Return,
    Follow(Request<B>),
    Fail(RedirectError),
}

impl<B: Replay + Default> Trail<B> {
    /// `None` if nothing is to be followed.
    pub(super) fn of(request: &Request<B>, default: &Redirects) -> Option<Self> {
        let redirects = request.extensions().get().unwrap_or(default);
        let limit = redirects.settings().limit?;
        // A tunnel to one place is no tunnel to another.
        if *request.method() == Method::CONNECT {
            return None;
        }
        Some(Self {
            redirects: redirects.clone(),
            limit,
            sent: Sent {
                method: request.method().clone(),
                uri: request.uri().clone(),
                version: request.version(),
                headers: KeptHeaders::of(request.headers()),
                extensions: request.extensions().clone(),
            },
            body: request.body().replay(),
            fragment: None,
            history: Vec::new(),
        })
    }

    /// Judges a response by its head.
    pub(super) fn next(&mut self, status: StatusCode, headers: &HeaderMap) -> Next<B> {
        let Some(next_method) = next_method(status, &self.sent.method) else {
            return Next::Return;
        };
        let Some(location) = location::of(headers) else {
            return Next::Return;
        };
        let resolved = location.and_then(|location| {
            let base = Base::of(&self.sent.uri)?;
            let target = base.resolve(location)?;
            Ok((base, target))
        });
        let (base, target) = match resolved {
            Ok(resolved) => resolved,
            Err(why) => return Next::Fail(RedirectError::new(Why::Location(why), status, None)),
        };
        match self.judge(status, headers, &next_method, &target) {
            Verdict::Follow => {}
            Verdict::End(end) => return end.into(),
        }
        self.follow(status, headers, next_method, &base, target)
    }

    /// Asks everything that may stop a redirect, but for its body.
    fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        next_method: &Method,
        target: &Target,
    ) -> Verdict {
        let settings = self.redirects.settings();
        let fail = |why| RedirectError::new(why, status, Some(target.uri.clone()));
        let redirect = Redirect {
            status,
            headers,
            method: &self.sent.method,
            next_method,
            from: &self.sent.uri,
            target,
            history: &self.history,
        };
        for policy in &settings.policies {
            match policy.decide(&redirect) {
                RedirectDecision::Follow => {}
                RedirectDecision::Stop => return Verdict::End(None),
                RedirectDecision::Refuse(reason) => {
                    let error = RedirectError::refused(reason, status, target.uri.clone());
                    return Verdict::End(Some(error));
                }
            }
        }
        if target.is_downgrade && !settings.downgrade {
            return Verdict::End(Some(fail(Why::Downgrade)));
        }
        let options = self.sent.extensions.get::<ConnectOptions>();
        if target.is_cross_origin && options.is_some_and(|to| to.get_unix_socket().is_some()) {
            return Verdict::End(Some(fail(Why::Socket)));
        }
        // Who allows none asks for the first response, or for an error that says so.
        if self.limit > 0 && self.is_loop(headers, next_method, target) {
            return Verdict::End(end(settings.at_loop, || fail(Why::Loop)));
        }
        if self.history.len() >= self.limit {
            return Verdict::End(end(settings.at_limit, || fail(Why::Limit(self.limit))));
        }
        Verdict::Follow
    }

    /// Whether the next request was sent before, and nothing has changed since.
    fn is_loop(&self, headers: &HeaderMap, next_method: &Method, target: &Target) -> bool {
        if headers.contains_key(header::SET_COOKIE) {
            return false;
        }
        let is_next = |method: &Method, uri: &Uri| method == next_method && *uri == target.uri;
        if is_next(&self.sent.method, &self.sent.uri) {
            return true;
        }
        self.history
            .iter()
            .rev()
            .take_while(|hop| !hop.changed)
            .any(|hop| is_next(&hop.method, &hop.uri))
    }

    fn follow(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        next_method: Method,
        base: &Base,
        target: Target,
    ) -> Next<B> {
        let settings = self.redirects.settings();
        let drops_body = next_method != self.sent.method;
        let body = if drops_body {
            B::default()
        } else {
            match self.body.as_ref().and_then(B::replay) {
                Some(body) => body,
                None => {
                    return end(settings.unreplayable, || {
                        RedirectError::new(Why::Unreplayable, status, Some(target.uri))
                    })
                    .into();
                }
            }
        };
        let mut sent_headers = self.sent.headers.to_map();
        if drops_body {
            // What is kept for the redirects after this one.
            self.body = Some(B::default());
            drop_content_headers(&mut sent_headers);
        }
        sent_headers.remove(header::HOST);
        let leaves_secrets = target.is_cross_origin && leave_secrets(&mut sent_headers, settings);
        if settings.referer {
            match base.referer(&target).map(HeaderValue::try_from) {
                Some(Ok(referer)) => {
                    sent_headers.insert(header::REFERER, referer);
                }
                _ => {
                    sent_headers.remove(header::REFERER);
                }
            }
        }
        self.sent.headers = KeptHeaders::of(&sent_headers);

        self.fragment = target.fragment.or(self.fragment.take());
        let method = std::mem::replace(&mut self.sent.method, next_method);
        let uri = std::mem::replace(&mut self.sent.uri, target.uri);
        self.history.push(RedirectHop {
            method,
            uri,
            status,
            changed: leaves_secrets || headers.contains_key(header::SET_COOKIE),
        });
        Next::Follow(self.sent.request(sent_headers, body))
    }

    /// The method and URI of the last request.
    pub(super) fn last(&self) -> (&Method, &Uri) {
        (&self.sent.method, &self.sent.uri)
    }

    /// What the response's extensions say of its way.
    pub(super) fn annotate(self, extensions: &mut Extensions) {
        // For the errors of reading it, unless the transport has said what was really called.
        if extensions.get::<ConnectionInfo>().is_none() {
            extensions.get_or_insert_with(|| Call::new(self.sent.method, self.sent.uri.clone()));
        }
        extensions.insert(FinalUri::new(self.sent.uri, self.fragment));
        if !self.history.is_empty() {
            extensions.insert(RedirectHistory(self.history.into()));
        }
    }
}

impl Sent {
    fn request<B>(&self, headers: HeaderMap, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}

impl<B> From<End> for Next<B> {
    fn from(end: End) -> Self {
        end.map_or(Self::Return, Self::Fail)
    }
}

fn end(ending: Ending, error: impl FnOnce() -> RedirectError) -> End {
    match ending {
        Ending::Error => Some(error()),
        Ending::LastResponse => None,
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::Body;

    use super::*;

    fn trail(request: http::request::Builder, redirects: &Redirects) -> Trail<Body> {
        let request = request.body(Body::from("body")).expect("a request");
        Trail::of(&request, redirects).expect("a trail")
    }

    fn to(location: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::LOCATION, location.parse().expect("a value"))])
    }

    #[test]
    fn a_round_by_way_of_a_cookie_is_no_loop_and_any_other_is() {
        let request = || Request::get("http://h/a");
        let mut trail = trail(request(), &Redirects::default());
        let mut cookie = to("/a");
        cookie.insert(header::SET_COOKIE, HeaderValue::from_static("seen=1"));

        assert!(matches!(
            trail.next(StatusCode::FOUND, &to("/b")),
            Next::Follow(_)
        ));
        assert!(matches!(
            trail.next(StatusCode::FOUND, &cookie),
            Next::Follow(_)
        ));
        assert!(matches!(
            trail.next(StatusCode::FOUND, &to("/b")),
            Next::Follow(_)
        ));
        let Next::Fail(error) = trail.next(StatusCode::FOUND, &to("/a")) else {
            panic!("a loop was followed");
        };
        assert!(error.is_loop());
    }

    #[test]
    fn another_method_or_query_is_no_loop() {
        let mut trail = trail(Request::post("http://h/a"), &Redirects::default());
        assert!(matches!(
            trail.next(StatusCode::SEE_OTHER, &to("/a")),
            Next::Follow(_)
        ));
        assert!(matches!(
            trail.next(StatusCode::FOUND, &to("/a?1")),
            Next::Follow(_)
        ));
        assert!(matches!(
            trail.next(StatusCode::FOUND, &to("/a?1#f")),
            Next::Fail(_)
        ));
    }

    #[test]
    fn a_header_that_was_left_behind_makes_the_same_request_another() {
        let request = Request::get("http://h/a").header("authorization", "secret");
        let mut trail = trail(request, &Redirects::default());
        assert!(matches!(
            trail.next(StatusCode::FOUND, &to("http://i/")),
            Next::Follow(_)
        ));
        let Next::Follow(request) = trail.next(StatusCode::FOUND, &to("http://h/a")) else {
            panic!("not followed");
        };
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        assert!(matches!(
            trail.next(StatusCode::FOUND, &to("http://i/")),
            Next::Fail(_)
        ));
    }
}
