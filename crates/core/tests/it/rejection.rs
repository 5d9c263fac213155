use std::{convert::Infallible, error::Error, io, time::Duration};

use bartizan_core::{
    Body, BoxError, BoxErrors, Propagate, Reject, Rejection, RejectionKind, RespondWith, find,
};
use bytes::Bytes;
use http::{Response, StatusCode, header};

const KINDS: [(RejectionKind, u16); 7] = [
    (RejectionKind::TimedOut, 504),
    (RejectionKind::Open, 503),
    (RejectionKind::Full, 503),
    (RejectionKind::Limited, 429),
    (RejectionKind::Shed, 503),
    (RejectionKind::Exhausted, 502),
    (RejectionKind::Unsendable, 400),
];

#[test]
fn problem_details_are_whole() {
    for (kind, status) in KINDS {
        let response: Response<Bytes> = Rejection::new(kind, "test")
            .with_source(io::Error::other("10.0.0.1 is down"))
            .into_response();
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(response.status(), status);
        assert_eq!(response.extensions().get(), Some(&kind));

        let body = std::str::from_utf8(response.body()).expect("text");
        let title = status.canonical_reason().expect("a reason");
        assert!(
            body.starts_with(&format!(
                r#"{{"title":"{title}","status":{},"detail":""#,
                status.as_u16()
            )),
            "{body}"
        );
        assert!(body.ends_with(r#""}"#));
        assert!(!body.contains("10.0.0.1"), "addresses stay inside: {body}");
    }
}

#[test]
fn a_delay_is_rounded_up() {
    for (delay, header) in [(0, "0"), (1, "1"), (1_000, "1"), (1_001, "2")] {
        let response: Response<Body> = Rejection::new(RejectionKind::Limited, "test")
            .with_retry_after(Duration::from_millis(delay))
            .into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], header);
    }
}

#[test]
fn sources_are_kept() {
    let rejection = Rejection::new(RejectionKind::Exhausted, "failover")
        .with_source(io::Error::from(io::ErrorKind::ConnectionRefused));
    assert_eq!(rejection.to_string(), "failover: every attempt failed");
    assert!(rejection.source().is_some());
    let error: BoxError = rejection.into();
    let io = find::<io::Error>(&*error).expect("the source");
    assert_eq!(io.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn only_what_never_left_is_unsent() {
    for (kind, _) in KINDS {
        let unsent = !matches!(kind, RejectionKind::TimedOut | RejectionKind::Exhausted);
        assert_eq!(Rejection::new(kind, "test").is_unsent(), unsent, "{kind:?}");
    }
}

#[test]
fn a_rejection_becomes_an_error_or_a_response() {
    let rejection = || Rejection::new(RejectionKind::Full, "test");
    let error: Result<(), BoxError> = Propagate.reject(rejection());
    assert!(error.is_err());

    let respond = RespondWith(|rejection: Rejection| rejection.kind());
    let response: Result<RejectionKind, Infallible> = respond.reject(rejection());
    assert_eq!(response, Ok(RejectionKind::Full));

    let boxed: Result<(), BoxError> = Reject::<(), io::Error>::reject(&BoxErrors, rejection());
    assert!(find::<Rejection>(&*boxed.expect_err("boxed")).is_some());
}

#[test]
fn an_error_of_the_service_passes_as_it_is_or_boxed_once() {
    let passed: io::Error = Reject::<u32, _>::pass(&RespondWith(|_| 7), io::Error::other("x"));
    assert_eq!(passed.to_string(), "x");
    let boxed: BoxError = io::Error::other("x").into();
    let boxed: BoxError = Reject::<(), _>::pass(&BoxErrors, boxed);
    assert!(boxed.is::<io::Error>());
}
