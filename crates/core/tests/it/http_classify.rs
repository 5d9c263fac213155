use std::{
    io,
    time::{Duration, SystemTime},
};

use bartizan_core::{
    BoxError, Classify, HttpClassify, IntactBody, Outcome, Rejection, RejectionKind, StatusSet,
    Verdict,
};
use http::Response;

fn response(status: u16) -> http::response::Builder {
    Response::builder().status(status)
}

fn judge(classify: &HttpClassify, result: Result<&Response<()>, &BoxError>) -> Verdict {
    Classify::<(), _, _>::head(classify, (), result)
}

#[test]
fn statuses_decide_at_the_head_or_wait_for_the_body() {
    let classify = HttpClassify::new();
    for (status, verdict) in [
        (200, Verdict::AtEnd(IntactBody(Outcome::Success))),
        (404, Verdict::AtEnd(IntactBody(Outcome::Success))),
        (500, Verdict::Now(Outcome::Failure)),
        (599, Verdict::Now(Outcome::Failure)),
        (429, Verdict::Now(Outcome::Throttled { retry_after: None })),
    ] {
        let response = response(status).body(()).expect("a response");
        assert_eq!(judge(&classify, Ok(&response)), verdict, "{status}");
    }
}

#[test]
fn a_retry_after_date_is_read_against_the_clock() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    let classify = HttpClassify::new().clock(move || at);
    let response = response(429)
        .header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")
        .body(())
        .expect("a response");
    assert_eq!(
        judge(&classify, Ok(&response)).so_far(),
        Outcome::Throttled {
            retry_after: Some(Duration::from_secs(7))
        }
    );
}

#[test]
fn a_failure_is_a_failure_even_if_it_throttles_too() {
    let classify = HttpClassify::new().throttled(StatusSet::range(400, 599));
    let response = response(503).body(()).expect("a response");
    assert_eq!(judge(&classify, Ok(&response)).so_far(), Outcome::Failure);
}

#[test]
fn errors_are_failures_but_our_own_refusals_say_nothing_of_the_peer() {
    let classify = HttpClassify::new();
    let rejected = |kind| -> BoxError { Rejection::new(kind, "test").into() };
    for (error, outcome) in [
        (
            io::Error::from(io::ErrorKind::ConnectionReset).into(),
            Outcome::Failure,
        ),
        (rejected(RejectionKind::TimedOut), Outcome::Failure),
        (rejected(RejectionKind::Exhausted), Outcome::Failure),
        (rejected(RejectionKind::Open), Outcome::Ignored),
        (rejected(RejectionKind::Full), Outcome::Ignored),
        (
            io::Error::other(rejected(RejectionKind::Limited)).into(),
            Outcome::Ignored,
        ),
    ] {
        assert_eq!(judge(&classify, Err(&error)).so_far(), outcome, "{error:?}");
    }
    // Unboxed, too; and an error that nothing is known about is a failure.
    let open = Rejection::new(RejectionKind::Open, "test");
    let verdict = Classify::<(), Response<()>, _>::head(&classify, (), Err(&open));
    assert_eq!(verdict.so_far(), Outcome::Ignored);
    let verdict = Classify::<(), Response<()>, _>::head(&classify, (), Err(&"any type"));
    assert_eq!(verdict.so_far(), Outcome::Failure);
}

#[test]
fn an_error_of_ones_own_is_looked_into_when_asked() {
    #[derive(Debug)]
    struct Mine(Rejection);
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("mine")
        }
    }
    impl std::error::Error for Mine {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Mine(Rejection::new(RejectionKind::Full, "test"));
    for (classify, outcome) in [
        (HttpClassify::new(), Outcome::Failure),
        (HttpClassify::new().look_into::<Mine>(), Outcome::Ignored),
    ] {
        let verdict = Classify::<(), Response<()>, _>::head(&classify, (), Err(&error));
        assert_eq!(verdict.so_far(), outcome);
    }
}
