//! What HTTP clients are told.

use std::convert::Infallible;

use ::http::{Request, Response};
use bartizan_core::{Body, Rejection};

use super::*;

contract! {
    mod laws {
        layer: |probe| RateLimitLayer::new(quota(1000, 1000)).headers().layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }
}

fn header<B>(response: &Response<B>, name: &str) -> Vec<String> {
    let values = response.headers().get_all(name).iter();
    values
        .map(|value| value.to_str().expect("ASCII").to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn http_clients_are_told_where_they_stand() {
    let inner =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let per_client = Quota::try_new(60, 60 * SECOND).and_then(|quota| quota.try_burst(3));
    let layer = RateLimitLayer::new(per_client.expect("valid"))
        .headers()
        .reject_with(Rejection::into_response);
    let service = layer.layer(inner);
    for left in [2, 1, 0] {
        let Ok(response) = service.clone().oneshot(Request::new(Body::empty())).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            header(&response, "ratelimit-policy"),
            [r#""default";q=60;w=60"#]
        );
        let now = format!(r#""default";r={left};t=1"#);
        assert_eq!(header(&response, "ratelimit"), [now]);
        assert!(header(&response, "retry-after").is_empty());
    }
    advance(MS(100)).await;
    let Ok(response) = service.clone().oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), 429);
    // As much as `retry-after`, which must not end before the window of which it is said that there are no more calls in it.
    assert_eq!(header(&response, "ratelimit"), [r#""default";r=0;t=1"#]);
    assert_eq!(
        header(&response, "ratelimit-policy"),
        [r#""default";q=60;w=60"#]
    );
    assert_eq!(header(&response, "retry-after"), ["1"]);

    // A response of yours gets the delay too.
    let layer = RateLimitLayer::new(quota(1, 1))
        .headers()
        .reject_with(|_| Response::new(Body::from("slowly")));
    let service = layer.layer(inner);
    let _ = service.clone().oneshot(Request::new(Body::empty())).await;
    let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(header(&response, "retry-after"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn two_limits_in_one_stack_tell_both() {
    let inner = RateLimitLayer::new(Quota::try_new(5, MS(500)).expect("valid"))
        .try_headers_named("fast")
        .expect("a name");
    let outer = RateLimitLayer::new(Quota::try_new(100, 3600 * SECOND).expect("valid"))
        .try_headers_named("per hour")
        .expect("a name");
    let service = outer.layer(inner.layer(Bare));
    let response = service.clone().oneshot(()).await.expect("a response");
    assert_eq!(
        header(&response, "ratelimit-policy"),
        [r#""fast";q=5"#, r#""per hour";q=100;w=3600"#]
    );
    assert_eq!(
        header(&response, "ratelimit"),
        [r#""fast";r=4;t=1"#, r#""per hour";r=99;t=36"#]
    );
    // One more could come after 36 s, although the quota is full only after 72.
    advance(MS(1500)).await;
    let response = service.oneshot(()).await.expect("a response");
    assert_eq!(
        header(&response, "ratelimit"),
        [r#""fast";r=4;t=1"#, r#""per hour";r=98;t=35"#]
    );
}

#[test]
fn a_name_that_cannot_be_is_refused() {
    for name in ["", "a\"b", "a\\b", "größe", "a\nb"] {
        let error = RateLimitLayer::new(quota(1, 1))
            .try_headers_named(name)
            .expect_err("refused");
        assert_eq!(error.field(), "policy name", "{name:?}");
    }
}
