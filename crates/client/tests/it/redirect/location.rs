//! What `Location` may hold, and what it may not.

use bartizan_client::{FinalUri, Redirects, RequestExt};
use bartizan_core::Body;
use bartizan_testing::Step;
use http::{HeaderValue, Response, header};

use super::{redirecting, sent, to, why};

#[tokio::test]
async fn hostile_locations_are_told_and_not_followed() {
    let long = format!("http://a.example/{}", "a".repeat(40_000));
    for location in [
        "file:///etc/passwd",
        "gopher://a.example/",
        "http://trusted.example@evil.example/",
        "http://",
        "http://a.example:99999/",
        &long,
    ] {
        let (client, handle) = redirecting(Redirects::default(), &[(302, location)]);
        let error = client
            .get("http://a.example/")
            .send()
            .await
            .expect_err(location);
        assert!(why(&error).is_location(), "{location}");
        assert_eq!(sent(&handle).len(), 1);
    }

    let (client, handle) = redirecting(Redirects::default(), &[]);
    let mut two = to(302, "/a");
    two.headers_mut()
        .append(header::LOCATION, HeaderValue::from_static("/b"));
    handle.push(Step::respond(two));
    let error = client
        .get("http://a.example/")
        .send()
        .await
        .expect_err("two");
    assert!(why(&error).is_location());

    // The same twice is harmless, and none at all is the caller's.
    let mut twice = to(302, "/a");
    twice
        .headers_mut()
        .append(header::LOCATION, HeaderValue::from_static("/a"));
    handle.push(Step::respond(twice));
    assert_eq!(
        client
            .get("http://a.example/")
            .send()
            .await
            .expect("followed")
            .status(),
        200
    );
    handle.push(Step::respond(
        Response::builder()
            .status(302)
            .body(Body::empty())
            .expect("one"),
    ));
    assert_eq!(
        client
            .get("http://a.example/")
            .send()
            .await
            .expect("as it is")
            .status(),
        302
    );
}

#[tokio::test]
async fn the_fragment_is_inherited() {
    let script = [
        (302, "/b#first"),
        (302, "/c"),
        (302, "/d#last"),
        (302, "/e"),
    ];
    let (client, _handle) = redirecting(Redirects::default(), &script);
    let response = client
        .get("http://a.example/")
        .send()
        .await
        .expect("an answer");
    let end = response.extensions().get::<FinalUri>().expect("a URI");
    assert_eq!(end.fragment(), Some("last"));
}
