//! Redirects: every method, status, origin and kind of body.

use bartizan_client::{FinalUri, Redirects};
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use http::Request;
use tower::ServiceExt as _;

use super::{redirecting, why};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sending {
    Nothing,
    Whole,
    Stream,
}

/// Every method, status, origin and kind of body, against what RFC 9110 section 15.4 says of each.
#[tokio::test]
async fn the_redirect_matrix() {
    let mut cases = 0;
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY",
    ] {
        for status in [300, 301, 302, 303, 304, 305, 306, 307, 308] {
            for location in [
                "/b",
                "http://a.example/b",
                "http://b.example/b",
                "https://a.example/b",
                "http://a.example:81/b",
            ] {
                for sending in [Sending::Nothing, Sending::Whole, Sending::Stream] {
                    one_of_the_matrix(method, status, location, sending).await;
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 8 * 9 * 5 * 3);
}

async fn one_of_the_matrix(method: &str, status: u16, location: &str, sending: Sending) {
    let case = format!("{method} {status} {location} {sending:?}");
    let (client, handle) = redirecting(Redirects::default(), &[(status, location)]);
    let (stream, _frames) = ControlledBody::new();
    let request = Request::builder()
        .method(method)
        .uri("http://a.example/a")
        .header("authorization", "secret")
        .header("content-type", "text/plain")
        .header("accept", "*/*")
        .extension("an option")
        .body(match sending {
            Sending::Nothing => Body::empty(),
            Sending::Whole => Body::from("payload"),
            Sending::Stream => Body::new(stream),
        })
        .expect("a request");
    let result = client.oneshot(request).await;

    let becomes_get = match status {
        301 | 302 => method == "POST",
        303 => method != "HEAD" && method != "GET",
        _ => false,
    };
    let requests = handle.take_requests();
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        assert_eq!(result.expect(&case).status(), status, "{case}");
        assert_eq!(requests.len(), 1, "{case}");
        return;
    }
    if sending == Sending::Stream && !becomes_get {
        assert!(why(&result.expect_err(&case)).is_unreplayable(), "{case}");
        assert_eq!(requests.len(), 1, "{case}");
        return;
    }
    let response = result.expect(&case);
    assert_eq!(response.status(), 200, "{case}");
    let end = response.extensions().get::<FinalUri>().expect("a URI");
    let [_, next] = &requests[..] else {
        panic!("{case}: {requests:?}");
    };
    assert_eq!(end.uri(), next.uri(), "{case}");
    assert_eq!(next.uri().path(), "/b", "{case}");
    assert_eq!(
        next.method().as_str(),
        if becomes_get { "GET" } else { method },
        "{case}"
    );
    let kept = if becomes_get || sending != Sending::Whole {
        ""
    } else {
        "payload"
    };
    assert_eq!(next.body().whole().expect("whole"), kept, "{case}");
    assert_eq!(
        next.headers().contains_key("content-type"),
        !becomes_get,
        "{case}"
    );
    let is_same_origin = matches!(location, "/b" | "http://a.example/b");
    assert_eq!(
        next.headers().contains_key("authorization"),
        is_same_origin,
        "{case}"
    );
    assert_eq!(next.headers().get("accept").expect("kept"), "*/*", "{case}");
    assert_eq!(next.extensions().get(), Some(&"an option"), "{case}");
}
