//! What is not followed, wherever it leads: by the layer's own rules, and by policies.

use std::error::Error as _;

use bartizan_client::{
    Ending, HttpsOnly, Redirect, RedirectDecision, Redirects, RequestExt, SameOrigin,
    connect::ConnectOptions,
};
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use http::{Method, StatusCode};

use super::{redirecting, sent, why};

/// Fault: https→http is followed.
#[tokio::test]
async fn from_https_to_http_is_not_followed() {
    let script = [(301, "http://a.example/?secret")];
    let (client, handle) = redirecting(Redirects::default(), &script);
    let error = client
        .get("https://a.example/?secret")
        .send()
        .await
        .expect_err("refused");
    assert!(why(&error).is_downgrade());
    assert!(!format!("{error} {error:?} {}", why(&error)).contains("secret"));
    assert_eq!(sent(&handle).len(), 1);

    let (client, handle) = redirecting(Redirects::default().allow_downgrade(), &script);
    client
        .get("https://a.example/")
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent(&handle)[1], "GET http://a.example/?secret");
}

/// Fault: a 307 with a spent body ends as `Ok(307)`.
#[tokio::test]
async fn a_307_with_a_spent_body_is_told() {
    let stream = || {
        let (body, _frames) = ControlledBody::new();
        Body::new(body)
    };
    let (client, handle) = redirecting(Redirects::default(), &[(307, "/b")]);
    let error = client.post("http://a.example/").body(stream()).send().await;
    let error = error.expect_err("unreplayable");
    assert!(why(&error).is_unreplayable());
    assert!(!error.is_unsent());
    assert_eq!(sent(&handle).len(), 1);

    let settings = Redirects::default().unreplayable(Ending::LastResponse);
    let (client, _handle) = redirecting(settings, &[(307, "/b")]);
    let response = client.post("http://a.example/").body(stream()).send().await;
    assert_eq!(response.expect("the last").status(), 307);
}

#[tokio::test]
async fn a_unix_socket_is_not_left_for_another_origin() {
    let options = ConnectOptions::new().unix_socket(std::path::Path::new("/run/daemon"));
    let (client, handle) = redirecting(
        Redirects::default(),
        &[(302, "/b"), (302, "http://b.example/")],
    );
    let error = client.get("http://daemon/").extension(options).send().await;
    assert!(!why(&error.expect_err("refused")).is_policy());
    assert_eq!(sent(&handle).len(), 2);
}

#[tokio::test]
async fn policies_follow_stop_or_refuse() {
    let get = async |settings: Redirects, from: &str, location: &str| {
        let (client, handle) = redirecting(settings, &[(302, location)]);
        let result = client.get(from).send().await;
        (
            result.map(|response| response.status().as_u16()),
            sent(&handle).len(),
        )
    };
    let (result, sent) = get(
        Redirects::default().policy(SameOrigin),
        "http://a.example/",
        "/b",
    )
    .await;
    assert_eq!((result.expect("followed"), sent), (200, 2));
    let (result, sent) = get(
        Redirects::default().policy(SameOrigin),
        "http://a.example/",
        "http://b.example/",
    )
    .await;
    let error = result.expect_err("refused");
    assert!(why(&error).is_policy() && sent == 1);
    assert_eq!(
        why(&error).source().expect("a reason").to_string(),
        "only the same origin is allowed"
    );

    let (result, _) = get(
        Redirects::default().policy(HttpsOnly),
        "http://a.example/",
        "/b",
    )
    .await;
    assert!(why(&result.expect_err("refused")).is_policy());
    let (result, _) = get(
        Redirects::default().policy(HttpsOnly),
        "http://a.example/",
        "https://a.example/",
    )
    .await;
    assert_eq!(result.expect("followed"), 200);

    let stop = |redirect: &Redirect<'_>| {
        assert_eq!(
            (redirect.method(), redirect.next_method()),
            (&Method::GET, &Method::GET)
        );
        assert_eq!(
            (redirect.status(), redirect.history().len()),
            (StatusCode::FOUND, 0)
        );
        assert_eq!(redirect.from(), "http://a.example/");
        assert_eq!(redirect.to(), "http://a.example/b");
        RedirectDecision::Stop
    };
    let (result, sent) = get(
        Redirects::default().policy(stop).policy(HttpsOnly),
        "http://a.example/",
        "/b",
    )
    .await;
    assert_eq!((result.expect("the last"), sent), (302, 1));
}
