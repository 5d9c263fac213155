//! Redirects: what is followed, what is sent, and what stays behind.

use std::{convert::Infallible, error::Error as _, sync::Arc};

use bartizan_client::{
    Ending, Error, FinalUri, HttpsOnly, Redirect, RedirectDecision, RedirectError, RedirectHistory,
    RedirectLayer, RedirectService, Redirects, RequestExt, ResponseExt, SameOrigin, Transport,
    connect::ConnectOptions,
};
use bartizan_core::{Body, BoxError, find};
use bartizan_testing::{ControlledBody, Loopback, Probe, ProbeHandle, Step, contract};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tower::{ServiceBuilder, ServiceExt, service_fn};

pub(crate) type Handle = ProbeHandle<Request<Body>, Response<Body>>;
pub(crate) type Client = RedirectService<Probe<Request<Body>, Response<Body>>>;

/// Answers each request with the next of these redirects, then with 200.
pub(crate) fn redirecting(redirects: Redirects, script: &[(u16, &str)]) -> (Client, Handle) {
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

pub(crate) fn why(error: &Error) -> &RedirectError {
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
async fn a_failed_hop_names_its_own_uri() {
    let (client, handle) = redirecting(Redirects::default(), &[(302, "http://b.example/b?secret")]);
    handle.push(Step::fail(bartizan_testing::ProbeError::new("cut")));
    let error = client
        .get("http://a.example/")
        .send()
        .await
        .expect_err("failed");
    assert_eq!(
        error.to_string(),
        "GET http://b.example/b: the service failed"
    );
    assert!(!error.is_redirect());
}

#[tokio::test]
async fn it_stacks_over_an_axum_like_service_that_takes_relative_uris() {
    let router = service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(match request.uri().path() {
            "/old" => to(303, "./new?1"),
            _ => Response::new(Body::from(request.uri().to_string())),
        })
    });
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(router);
    let response = client
        .post("/old")
        .body("form")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.text().await.expect("a text"), "/new?1");
}

/// The body of a response on the way is read to its end, so one connection serves the whole call.
#[tokio::test]
async fn one_connection_serves_a_redirect_within_a_host() {
    let server = Loopback::start(|request: Request<Body>| async move {
        match request.uri().path() {
            "/old" => to(302, "/new"),
            _ => Response::new(Body::from("here")),
        }
    })
    .await;
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(Transport::new());
    for _ in 0..3 {
        let response = client
            .get(server.uri("/old"))
            .send()
            .await
            .expect("a response");
        assert_eq!(response.text().await.expect("a text"), "here");
    }
    assert_eq!(server.requests(), 6);
    assert_eq!(server.connections(), 1);
}

/// A body on the way that never ends costs 100 ms, and no more.
#[tokio::test(start_paused = true)]
async fn a_body_on_the_way_that_stalls_is_given_up() {
    let (client, handle) = redirecting(Redirects::default(), &[]);
    let (body, frames) = ControlledBody::new();
    handle.push(Step::respond(to(302, "/b").map(|_| Body::new(body))));
    let begun = tokio::time::Instant::now();
    let response = client
        .get("http://a.example/")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(begun.elapsed(), std::time::Duration::from_millis(100));
    drop(frames);
}

#[tokio::test]
async fn its_errors_are_those_of_any_service() {
    let failing =
        service_fn(|_: Request<Body>| async { Err::<Response<Body>, BoxError>("no".into()) });
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(failing);
    let request = Request::get("http://a.example/?secret")
        .body(Body::empty())
        .expect("a request");
    let error: Error = client.oneshot(request).await.expect_err("failed");
    assert_eq!(
        error.to_string(),
        "GET http://a.example/: the service failed"
    );
    let _: Arc<dyn std::error::Error> = Arc::new(error);
}

contract! {
    mod redirect_layer {
        layer: |probe| RedirectService::new(probe, Redirects::default()),
        request: || Request::get("http://a.example/").body(Body::from("whole")).expect("a request"),
        response: || Response::new(Body::from("hello")),
    }

    /// Each call is two inner calls.
    mod redirect_layer_that_follows {
        layer: |probe| RedirectService::new(probe, Redirects::limited(1).at_loop(Ending::LastResponse)),
        request: || Request::get("http://a.example/").body(Body::empty()).expect("a request"),
        response: || to(302, "/b"),
    }
}
