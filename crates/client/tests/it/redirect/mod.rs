//! Redirects: what is followed, what is sent, and what stays behind.

mod ending;
mod headers;
mod location;
mod matrix;
mod refusing;
mod service;

use bartizan_client::{Error, RedirectError, RedirectService, Redirects};
use bartizan_core::{Body, find};
use bartizan_testing::{Probe, ProbeHandle, Step};
use http::{Request, Response, header};

type Handle = ProbeHandle<Request<Body>, Response<Body>>;
type Client = RedirectService<Probe<Request<Body>, Response<Body>>>;

/// Answers each request with the next of these redirects, then with 200.
fn redirecting(redirects: Redirects, script: &[(u16, &str)]) -> (Client, Handle) {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::from("the end")));
    for (status, location) in script {
        handle.push(Step::respond(to(*status, location)));
    }
    (RedirectService::new(probe, redirects), handle)
}

fn to(status: u16, location: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::LOCATION, location)
        .body(Body::from("moved"))
        .expect("a response")
}

fn why(error: &Error) -> &RedirectError {
    assert!(error.is_redirect(), "{error:?}");
    find(error).expect("a redirect error")
}

fn sent(handle: &Handle) -> Vec<String> {
    let requests = handle.take_requests();
    requests
        .iter()
        .map(|request| format!("{} {}", request.method(), request.uri()))
        .collect()
}
