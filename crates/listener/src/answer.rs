//! One request: what the service makes of it, and what the listener says where the service does not.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use bartizan_core::{Body, BoxError, find, problem};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SERVER},
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time;
use tower_service::Service;

use crate::{
    body::{TrackedBody, has_content, is_tunnel},
    drain::Connection,
    extract::ExtractError,
    http::{Guarded, HttpSettings, RequestBodyError, check, hand_over, is_over_limit},
    in_flight::InFlight,
    reply,
};

/// What the requests of one connection share.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) settings: Arc<HttpSettings>,
    pub(crate) connection: Arc<Connection>,
    /// The request that HTTP/1.1 was given up for.
    tunnel: Mutex<Option<InFlight>>,
}

impl Place {
    pub(crate) const fn new(settings: Arc<HttpSettings>, connection: Arc<Connection>) -> Self {
        Self {
            settings,
            connection,
            tunnel: Mutex::new(None),
        }
    }

    pub(crate) fn take_tunnel(&self) -> Option<InFlight> {
        let tunnel = self.tunnel.lock();
        tunnel.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that with this response the connection, or the stream, is no longer HTTP's.
    fn becomes_tunnel(&self, request: InFlight, version: Version) {
        if version == Version::HTTP_2 {
            hand_over(request);
        } else {
            self.connection.activity().set_tunnel();
            let mut tunnel = self.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
            *tunnel = Some(request);
        }
    }
}

pub(crate) async fn respond<S, RB>(
    service: S,
    mut request: Request<Incoming>,
    in_flight: InFlight,
    place: Arc<Place>,
) -> Result<Response<TrackedBody<RB>>, BoxError>
where
    S: Service<Request<Body>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Error: Into<BoxError>>,
{
    let settings = &*place.settings;
    let (method, version) = (request.method().clone(), request.version());
    let answered = match check(&mut request, settings) {
        Ok(()) => call(service, guarded(request, settings), settings).await,
        Err((status, detail)) => Err(refuse(status, detail, version)),
    };
    let mut response = match answered {
        Ok(response) if is_tunnel(&method, response.status()) => {
            place.becomes_tunnel(in_flight.clone(), version);
            return Ok(response.map(|body| TrackedBody::tunnel(body, in_flight)));
        }
        Ok(response) => {
            let is_read = has_content(&method, response.status());
            let is_last = is_last(&in_flight, settings);
            let response = response.map(|body| TrackedBody::new(body, in_flight, is_read));
            finish(response, &method, version, is_read, is_last)
        }
        Err(response) => {
            let is_read = method != Method::HEAD;
            let is_last = is_last(&in_flight, settings);
            let response = response.map(|body| TrackedBody::own(body, in_flight, is_read));
            finish(response, &method, version, is_read, is_last)
        }
    };
    if let Some(server) = &settings.server_header {
        let headers = response.headers_mut();
        headers.entry(SERVER).or_insert_with(|| server.clone());
    }
    Ok(response)
}

/// Whether the connection has brought as many requests as it may.
fn is_last(in_flight: &InFlight, settings: &HttpSettings) -> bool {
    settings
        .max_requests
        .is_some_and(|most| in_flight.number() >= most)
}

fn finish<B: http_body::Body<Error: Into<BoxError>>>(
    mut response: Response<TrackedBody<B>>,
    method: &Method,
    version: Version,
    is_read: bool,
    is_last: bool,
) -> Response<TrackedBody<B>> {
    if version != Version::HTTP_2 {
        if is_last {
            close(&mut response);
        }
        // hyper withholds the body itself.
        return response;
    }
    if is_read {
        return response;
    }
    without_content(response, method)
}

/// The request with its body held to what is set.
fn guarded(request: Request<Incoming>, settings: &HttpSettings) -> Request<Body> {
    if request.body().is_end_stream() {
        return request.map(|_| Body::empty());
    }
    // Streams of messages, and silence between them is no slowness.
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let rate = settings.min_request_rate.filter(|_| !is_grpc);
    request.map(|body| Body::new(Guarded::new(body, settings.max_body_bytes, rate)))
}

/// The service's response, or what stands for its error.
async fn call<S, RB>(
    mut service: S,
    request: Request<Body>,
    settings: &HttpSettings,
) -> Result<Response<RB>, Response<Body>>
where
    S: Service<Request<Body>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    let version = request.version();
    // Pinned here, so that the two ways below do not hold one each: this is most of what a stream of HTTP/2 is made of.
    let answering = pin!(async {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    });
    let answered = match settings.request_timeout {
        None => answering.await,
        Some(timeout) => match time::timeout(timeout, answering).await {
            Ok(answered) => answered,
            Err(_) => {
                tracing::warn!(?timeout, "the service took too long");
                let detail = "the service took too long";
                return Err(problem(StatusCode::SERVICE_UNAVAILABLE, detail));
            }
        },
    };
    answered.map_err(|error: S::Error| {
        let error = error.into();
        answer_to(&*error, version)
    })
}

/// The response that stands for an error.
fn answer_to(error: &(dyn std::error::Error + 'static), version: Version) -> Response<Body> {
    // Whoever may cause a line of the log at will, may fill the disk.
    if is_over_limit(error) {
        tracing::debug!(error, "a body was too long");
        let detail = "the body is too long";
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, detail, version);
    }
    if let Some(body) = find::<RequestBodyError>(error) {
        tracing::debug!(error, "a request's body ended too early");
        let (status, detail) = if body.is_too_slow() {
            (StatusCode::REQUEST_TIMEOUT, "the body came too slowly")
        } else {
            (StatusCode::BAD_REQUEST, "the body is broken")
        };
        return refuse(status, detail, version);
    }
    let is_the_peers = find::<hyper::Error>(error).is_some_and(is_of_the_peer)
        || find::<ExtractError>(error).is_some();
    if is_the_peers {
        tracing::debug!(error, "the request broke off, or is not what it should be");
    } else {
        tracing::error!(error, "the service failed");
    }
    reply::of_error(error)
        .unwrap_or_else(|| problem(StatusCode::INTERNAL_SERVER_ERROR, "the service failed"))
}

fn is_of_the_peer(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted()
}

/// A refusal for which the peer is to blame, and after which its connection is of no use where the body is still to come.
fn refuse(status: StatusCode, detail: &str, version: Version) -> Response<Body> {
    let mut response = problem(status, detail);
    let leaves_body = matches!(
        status,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    if leaves_body && version != Version::HTTP_2 {
        close(&mut response);
    }
    response
}

fn close<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

/// Keeps the head as it would be with the body (RFC 9110 section 9.3.2), whose length only `HEAD` is told.
fn without_content<B: http_body::Body<Error: Into<BoxError>>>(
    mut response: Response<TrackedBody<B>>,
    method: &Method,
) -> Response<TrackedBody<B>> {
    if let (Some(length), &Method::HEAD) = (response.body().size_hint().exact(), method) {
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(TrackedBody::withheld)
}
