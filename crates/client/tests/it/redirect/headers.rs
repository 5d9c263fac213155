//! Which headers go along, and which stay behind.

use bartizan_client::{Redirects, RequestExt};
use http::{HeaderName, HeaderValue};

use super::redirecting;

/// Fault: a user-set `Host` or `x-api-key` follows a redirect to a stranger.
#[tokio::test]
async fn a_user_set_host_or_api_key_does_not_follow_to_a_stranger() {
    let settings = Redirects::default().strip(HeaderName::from_static("x-tenant"));
    let script = [
        (302, "http://stranger.example/"),
        (302, "http://a.example/back"),
    ];
    let (client, handle) = redirecting(settings, &script);
    let mut marked = HeaderValue::from_static("secret");
    marked.set_sensitive(true);
    client
        .get("http://a.example/")
        .header("host", "inner.example")
        .header("x-api-key", "secret")
        .header("x-tenant", "secret")
        .header("x-marked", marked)
        .header("authorization", "secret")
        .header("cookie", "secret")
        .header("proxy-authorization", "secret")
        .header("referer", "http://a.example/secret")
        .header("x-request-id", "7")
        .send()
        .await
        .expect("an answer");
    let requests = handle.take_requests();
    assert_eq!(requests.len(), 3);
    for request in &requests[1..] {
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-request-id"], "to {}", request.uri());
    }
}

#[tokio::test]
async fn within_one_origin_only_host_stays_behind() {
    let (client, handle) = redirecting(Redirects::default(), &[(307, "http://A.example:80/b")]);
    client
        .get("http://a.example/")
        .header("host", "inner.example")
        .header("x-api-key", "secret")
        .header("authorization", "secret")
        .send()
        .await
        .expect("an answer");
    let requests = handle.take_requests();
    assert!(!requests[1].headers().contains_key("host"));
    assert_eq!(requests[1].headers()["x-api-key"], "secret");
    assert!(requests[1].headers()["authorization"].is_sensitive());
}

#[tokio::test]
async fn referer_is_told_only_where_asked_for_and_only_as_much() {
    let referers = async |settings: Redirects| {
        let script = [
            (302, "/b?c#d"),
            (302, "https://b.example/e"),
            (302, "http://c.example/"),
        ];
        let (client, handle) = redirecting(settings.allow_downgrade(), &script);
        client
            .get("https://me@a.example/?q")
            .send()
            .await
            .expect("an answer");
        let requests = handle.take_requests();
        requests
            .iter()
            .map(|request| request.headers().get("referer").cloned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        referers(Redirects::default()).await,
        [None, None, None, None]
    );
    let told = |value| Some(HeaderValue::from_static(value));
    assert_eq!(
        referers(Redirects::default().referer()).await,
        [
            None,
            told("https://a.example/?q"),
            told("https://a.example/"),
            None
        ]
    );
}
