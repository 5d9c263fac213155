//! From reqwest to here: what the cookbook shows side by side makes the same calls.

use std::{net::SocketAddr, time::Duration};

use bartizan_client::{
    CallTimeoutLayer, Client, CookieLayer, DefaultsLayer, Jar, RedirectLayer, Redirects,
    RequestExt, ResponseExt, Transport, compression::DecompressionLayer,
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{Loopback, refused_addr};
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tower::ServiceBuilder;

// ANCHOR: their_client
fn their_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .user_agent("shop/2")
        .redirect(reqwest::redirect::Policy::limited(5))
        .cookie_store(true)
        .connect_timeout(Duration::from_secs(2))
        .pool_idle_timeout(Duration::from_secs(50))
        .no_proxy()
        .build()
}
// ANCHOR_END: their_client

// ANCHOR: our_client
fn our_client() -> Result<Client, BoxError> {
    let transport = Transport::builder()
        .connect_timeout(Duration::from_secs(2))
        .idle_timeout(Duration::from_secs(50))
        .build()?;
    let stack = ServiceBuilder::new()
        .layer(CallTimeoutLayer::try_new(Duration::from_secs(10))?)
        .layer(DefaultsLayer::new().try_header("user-agent", "shop/2")?)
        .layer(RedirectLayer::with(Redirects::limited(5)))
        .layer(CookieLayer::new(Jar::new()))
        .layer(DecompressionLayer::new())
        .service(transport);
    Ok(Client::from_service(stack))
}
// ANCHOR_END: our_client

#[derive(Serialize)]
struct New {
    item: &'static str,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Order {
    id: u32,
}

// ANCHOR: their_call
async fn their_call(client: &reqwest::Client, base: &str) -> Result<Order, reqwest::Error> {
    let response = client
        .post(format!("{base}/orders"))
        .query(&[("dry", "1")])
        .bearer_auth("t0ken")
        .header("x-shop", "7")
        .timeout(Duration::from_secs(3))
        .json(&New { item: "lamp" })
        .send()
        .await?;
    response.error_for_status()?.json().await
}
// ANCHOR_END: their_call

// ANCHOR: our_call
async fn our_call(client: &Client, base: &str) -> Result<Order, bartizan_client::Error> {
    let response = client
        .post(format!("{base}/orders"))
        .query([("dry", "1")])
        .bearer("t0ken")
        .header("x-shop", "7")
        .timeout(Duration::from_secs(3))
        .json(&New { item: "lamp" })
        .send()
        .await?;
    response.error_for_status()?.json().await
}
// ANCHOR_END: our_call

// ANCHOR: their_error
fn is_worth_another_try_by_theirs(error: &reqwest::Error) -> bool {
    error.is_connect() || error.status() == Some(StatusCode::SERVICE_UNAVAILABLE)
}
// ANCHOR_END: their_error

// ANCHOR: our_error
fn is_worth_another_try_by_ours(error: &bartizan_client::Error) -> bool {
    // Wherever it failed: nothing of it has reached a server.
    error.is_unsent() || error.status() == Some(StatusCode::SERVICE_UNAVAILABLE)
}
// ANCHOR_END: our_error

/// Takes orders once the caller has been somewhere else for a cookie.
async fn shop() -> Loopback {
    Loopback::start(|request: Request<Body>| async move {
        let headers = request.headers();
        let response = Response::builder();
        let is_right = request.method() == "POST"
            && request.uri().query() == Some("dry=1")
            && headers["authorization"] == "Bearer t0ken"
            && headers["user-agent"] == "shop/2"
            && headers["x-shop"] == "7"
            && headers["content-type"] == "application/json";
        let has_cookie = headers.get("cookie").is_some_and(|it| it == "seen=1");
        match request.uri().path() {
            "/orders" if is_right && !has_cookie => response
                .status(307)
                .header("location", "/orders?dry=1")
                .header("set-cookie", "seen=1")
                .body(Body::empty()),
            "/orders" if is_right => response.body(r#"{"id": 7}"#.into()),
            _ => response.status(503).body(format!("{request:?}").into()),
        }
        .expect("a response")
    })
    .await
}

fn base(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

#[tokio::test]
async fn both_make_the_same_calls() {
    let shop = shop().await;
    let base = base(shop.addr());
    let theirs = their_call(&their_client().expect("valid"), &base).await;
    assert_eq!(theirs.expect("an order"), Order { id: 7 });
    let ours = our_call(&our_client().expect("valid"), &base).await;
    assert_eq!(ours.expect("an order"), Order { id: 7 });
    // Each was redirected once.
    assert_eq!(shop.requests(), 4);
}

#[tokio::test]
async fn both_know_what_is_worth_another_try() {
    let shop = shop().await;
    let (theirs, ours) = (their_client().expect("valid"), our_client().expect("valid"));
    for base in [base(refused_addr()), format!("{}/other", base(shop.addr()))] {
        let error = their_call(&theirs, &base).await.expect_err("it fails");
        assert!(is_worth_another_try_by_theirs(&error), "{error}");
        let error = our_call(&ours, &base).await.expect_err("it fails");
        assert!(is_worth_another_try_by_ours(&error), "{error}");
    }
}
