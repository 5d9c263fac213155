//! Where following ends that could go on: at the limit, and in a loop.

use bartizan_client::{Ending, FinalUri, RedirectHistory, Redirects, RequestExt, ResponseExt};
use http::header;

use super::{redirecting, sent, why};

/// Fault: a redirect loop ends as `Ok(302)`.
#[tokio::test]
async fn a_loop_is_told() {
    let script = [(302, "/b"), (302, "/c"), (302, "/b")];
    let (client, handle) = redirecting(Redirects::default(), &script);
    let error = client
        .get("http://a.example/")
        .send()
        .await
        .expect_err("a loop");
    assert!(why(&error).is_loop() && !why(&error).is_limit());
    assert_eq!(
        error.to_string(),
        "GET http://a.example/c: a redirect was not followed"
    );
    assert_eq!(
        why(&error).to_string(),
        "the 302 leads to http://a.example/b, where the call has been: a loop"
    );
    assert_eq!(sent(&handle).len(), 3);

    let settings = Redirects::default().at_loop(Ending::LastResponse);
    let (client, _handle) = redirecting(settings, &[(302, "/")]);
    let response = client
        .get("http://a.example/")
        .send()
        .await
        .expect("the last");
    assert_eq!(response.status(), 302);
}

/// Parity fact 12: at the limit, the last 3xx is returned, and is no error.
#[tokio::test]
async fn at_the_limit_the_last_response_is_returned() {
    let script = [(302, "/1"), (302, "/2"), (302, "/3")];
    let (client, handle) = redirecting(Redirects::limited(2), &script);
    let response = client
        .get("http://a.example/")
        .send()
        .await
        .expect("the last");
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()[header::LOCATION], "/3");
    let end = response.extensions().get::<FinalUri>().expect("a URI");
    assert_eq!(end.uri(), "http://a.example/2");
    let history = response
        .extensions()
        .get::<RedirectHistory>()
        .expect("a history");
    let history: Vec<_> = history.hops().iter().map(|hop| hop.uri().path()).collect();
    assert_eq!(history, ["/", "/1"]);
    assert_eq!(response.text().await.expect("its body"), "moved");
    assert_eq!(sent(&handle).len(), 3);

    let (client, _handle) = redirecting(Redirects::limited(2).at_limit(Ending::Error), &script);
    let error = client
        .get("http://a.example/")
        .send()
        .await
        .expect_err("too many");
    assert!(why(&error).is_limit());
    assert_eq!(
        why(&error).to_string(),
        "the 302 leads to http://a.example/3, after as many redirects as the limit allows (2)"
    );
}

#[tokio::test]
async fn ten_are_followed_unless_told_otherwise() {
    let paths: Vec<String> = (1..=12).map(|n| format!("/{n}")).collect();
    let script: Vec<_> = paths.iter().map(|path| (302, path.as_str())).collect();
    let (client, handle) = redirecting(Redirects::default(), &script);
    client
        .get("http://a.example/")
        .send()
        .await
        .expect("the last");
    assert_eq!(sent(&handle).len(), 11);

    for (settings, requests) in [
        (Redirects::none(), 1),
        (Redirects::limited(0), 1),
        (Redirects::limited(1), 2),
    ] {
        let (client, handle) = redirecting(Redirects::default(), &script);
        let response = client
            .get("http://a.example/")
            .extension(settings)
            .send()
            .await;
        assert_eq!(response.expect("the last").status(), 302);
        assert_eq!(sent(&handle).len(), requests);
    }
}

/// Who allows none is told of no loop.
#[tokio::test]
async fn none_allowed_is_the_first_response_or_an_error() {
    let get = async |settings: Redirects| {
        let (client, handle) = redirecting(settings, &[(302, "/")]);
        let result = client.get("http://a.example/").send().await;
        assert_eq!(sent(&handle).len(), 1);
        result
    };
    let response = get(Redirects::limited(0)).await;
    assert_eq!(response.expect("the first").status(), 302);
    let error = get(Redirects::limited(0).at_limit(Ending::Error)).await;
    assert!(why(&error.expect_err("none allowed")).is_limit());
}
