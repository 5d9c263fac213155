//! What hyper is answered with: the service's response, or what the listener says where the service does not.

use bartizan_core::{Body, BoxError, find, problem};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, SERVER},
};
use http_body::Body as _;

use crate::{
    body::{TrackedBody, has_content, is_tunnel},
    http::{RequestBodyError, hand_over, is_over_limit},
    in_flight::InFlight,
    reply,
};

/// What of a request decides how its response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    for_what: ForWhat,
    over_http2: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForWhat {
    /// `HEAD`
    Head,
    /// `CONNECT`
    Tunnel,
    Content,
}

impl Asked {
    pub(crate) fn by<B>(request: &Request<B>) -> Self {
        Self {
            for_what: match *request.method() {
                Method::HEAD => ForWhat::Head,
                Method::CONNECT => ForWhat::Tunnel,
                _ => ForWhat::Content,
            },
            over_http2: request.version() == Version::HTTP_2,
        }
    }
}

/// What the service answered.
pub(crate) fn of_service<B: http_body::Body<Error: Into<BoxError>>>(
    mut response: Response<B>,
    asked: Asked,
    in_flight: InFlight,
) -> Response<TrackedBody<B>> {
    if is_tunnel(asked.for_what, response.status()) {
        // With this, the connection, or the stream, is no longer HTTP's.
        if !asked.over_http2 {
            in_flight.activity().set_tunnel();
        }
        let (in_flight, of_tunnel) = in_flight.share();
        hand_over(of_tunnel);
        return response.map(|body| TrackedBody::tunnel(body, in_flight));
    }
    label(response.headers_mut(), asked, &in_flight);
    let is_read = has_content(asked.for_what, response.status());
    let response = response.map(|body| TrackedBody::new(body, in_flight, is_read));
    as_read(response, asked, is_read)
}

/// What the listener answers itself.
pub(crate) fn of_listener<B: http_body::Body<Error: Into<BoxError>>>(
    mut response: Response<Body>,
    asked: Asked,
    in_flight: InFlight,
) -> Response<TrackedBody<B>> {
    label(response.headers_mut(), asked, &in_flight);
    let is_read = asked.for_what != ForWhat::Head;
    let response = response.map(|body| TrackedBody::own(body, in_flight, is_read));
    as_read(response, asked, is_read)
}

/// What every response says, whoever it is from.
fn label(headers: &mut HeaderMap, asked: Asked, in_flight: &InFlight) {
    let settings = in_flight.settings();
    // The connection has brought as many requests as it may. HTTP/2 has no such header, and is told by a GOAWAY.
    if let (Some(most), false) = (settings.max_requests, asked.over_http2) {
        if in_flight.activity().begun() >= most {
            close(headers);
        }
    }
    if let Some(server) = &settings.server_header {
        headers.entry(SERVER).or_insert_with(|| server.clone());
    }
}

/// The response that stands for an error.
pub(crate) fn of_error(error: &(dyn std::error::Error + 'static), asked: Asked) -> Response<Body> {
    // Whoever may cause a line of the log at will, may fill the disk.
    if is_over_limit(error) {
        tracing::debug!(error, "a body was too long");
        let detail = "the body is too long";
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, detail, asked);
    }
    if let Some(body) = find::<RequestBodyError>(error) {
        tracing::debug!(error, "a request's body ended too early");
        let (status, detail) = if body.is_too_slow() {
            (StatusCode::REQUEST_TIMEOUT, "the body came too slowly")
        } else {
            (StatusCode::BAD_REQUEST, "the body is broken")
        };
        return refuse(status, detail, asked);
    }
    if let Some(response) = reply::of_error(error) {
        tracing::debug!(error, "a request was refused");
        return response;
    }
    if find::<hyper::Error>(error).is_some_and(is_of_the_peer) {
        tracing::debug!(error, "the request broke off");
    } else {
        tracing::error!(error, "the service failed");
    }
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the service failed")
}

fn is_of_the_peer(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted()
}

/// A refusal for which the peer is to blame, and after which its connection is of no use where the body is still to come.
pub(crate) fn refuse(status: StatusCode, detail: &str, asked: Asked) -> Response<Body> {
    let mut response = problem(status, detail);
    let leaves_body = matches!(
        status,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    if leaves_body && !asked.over_http2 {
        close(response.headers_mut());
    }
    response
}

fn close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Leaves out a body that is not to be read, and keeps the head as it would be with it (RFC 9110 section 9.3.2): its length is told to `HEAD`
/// alone. Over HTTP/1.1, hyper does that.
fn as_read<B: http_body::Body<Error: Into<BoxError>>>(
    mut response: Response<TrackedBody<B>>,
    asked: Asked,
    is_read: bool,
) -> Response<TrackedBody<B>> {
    if is_read || !asked.over_http2 {
        return response;
    }
    if let (Some(length), ForWhat::Head) = (response.body().size_hint().exact(), asked.for_what) {
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(TrackedBody::withheld)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use bartizan_core::{Rejection, RejectionKind};
    use tracing::{
        Event, Id, Level, Metadata, Subscriber,
        span::{Attributes, Record},
        subscriber::with_default,
    };

    use super::*;
    use crate::extract::Violations;

    /// Hears how loud the log is.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Heard {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            levels.push(*event.metadata().level());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_anybody_may_cause_at_will_is_no_error_in_the_log() {
        let refused = || Rejection::new(RejectionKind::Limited, "test");
        let mut violations = Violations::new();
        violations.add("", "is never right");
        let errors: [(BoxError, u16, Level); 4] = [
            (refused().into(), 429, Level::DEBUG),
            (std::io::Error::other(refused()).into(), 429, Level::DEBUG),
            (
                violations.into_result().expect_err("there is one").into(),
                422,
                Level::DEBUG,
            ),
            ("the disk is full".into(), 500, Level::ERROR),
        ];
        let over_http1 = Asked {
            for_what: ForWhat::Content,
            over_http2: false,
        };
        for (error, status, level) in errors {
            let heard = Heard::default();
            let response = with_default(heard.clone(), || of_error(&*error, over_http1));
            assert_eq!(response.status(), status, "{error}");
            let levels = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(*levels, [level], "{error}");
        }
    }
}
