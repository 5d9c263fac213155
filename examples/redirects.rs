//! Redirects: what is followed, what stays behind, and what a response knows of its way. `cargo run --example redirects`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::IntoResponse,
    routing::{any, get},
};
use bartizan::{
    client::{
        Ending, FinalUri, Redirect, RedirectDecision, RedirectError, RedirectHistory,
        RedirectLayer, Redirects, RequestExt, ResponseExt, Transport,
    },
    core::{BoxError, find},
    listener::Listener,
};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Two ports of one host are two origins.
    let stranger = start(|_| stranger()).await?;
    let base = start(|_| server(stranger.clone())).await?;

    // ANCHOR: follow
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(Transport::new());
    let response = client
        .post(format!("{base}/form"))
        .text("rain")
        .send()
        .await?;
    if let Some(history) = response.extensions().get::<RedirectHistory>() {
        for hop in history.hops() {
            println!("{} {}: {}", hop.method(), hop.uri().path(), hop.status());
        }
    }
    let end = response
        .extensions()
        .get::<FinalUri>()
        .ok_or("no redirects")?;
    println!("and then {}", end.uri().path());
    println!("{}", response.text().await?);
    // ANCHOR_END: follow

    // ANCHOR: secrets
    let response = client
        .get(format!("{base}/away"))
        .bearer("t0ken")
        .header("x-api-key", "s3cret")
        .header("accept-language", "en")
        .send()
        .await?;
    println!("the stranger sees: {}", response.text().await?);
    // ANCHOR_END: secrets

    // ANCHOR: one
    let response = client
        .get(format!("{base}/away"))
        .extension(Redirects::none())
        .send()
        .await?;
    println!("not followed: {}", response.status());
    // ANCHOR_END: one

    // ANCHOR: policy
    let rules = Redirects::limited(3)
        .at_limit(Ending::Error)
        .strip(HeaderName::from_static("x-tenant"))
        .policy(|redirect: &Redirect<'_>| {
            if redirect.is_cross_origin() && *redirect.method() != Method::GET {
                return RedirectDecision::Refuse("only reads may go elsewhere".into());
            }
            RedirectDecision::Follow
        });
    let strict = ServiceBuilder::new()
        .layer(RedirectLayer::with(rules))
        .service(Transport::new());
    // ANCHOR_END: policy

    // ANCHOR: errors
    for path in ["/loop", "/count/0", "/away"] {
        let error = strict.put(format!("{base}{path}")).send().await;
        let error = error.expect_err("none of them is followed to its end");
        assert!(error.is_redirect());
        let why = find::<RedirectError>(&error).ok_or("it says why")?;
        let (is_loop, is_limit, is_policy) = (why.is_loop(), why.is_limit(), why.is_policy());
        println!("{path}: loop {is_loop}, limit {is_limit}, policy {is_policy}");
    }
    // ANCHOR_END: errors
    Ok(())
}

/// Serves what `app` makes of its own URL.
async fn start(app: impl FnOnce(&str) -> Router) -> Result<String, BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(app(&base)));
    Ok(base)
}

fn to(status: StatusCode, location: String) -> impl IntoResponse {
    (status, [(header::LOCATION, location)])
}

fn server(stranger: String) -> Router {
    async fn count(Path(n): Path<u32>) -> impl IntoResponse {
        to(StatusCode::TEMPORARY_REDIRECT, format!("{}", n + 1))
    }

    Router::new()
        .route(
            "/form",
            any(|| async { to(StatusCode::SEE_OTHER, "/thanks".to_owned()) }),
        )
        .route("/thanks", get(|| async { "thank you" }))
        .route(
            "/away",
            any(move || async move { to(StatusCode::TEMPORARY_REDIRECT, stranger) }),
        )
        .route(
            "/loop",
            any(|| async { to(StatusCode::PERMANENT_REDIRECT, "/loop".to_owned()) }),
        )
        .route("/count/{n}", any(count))
}

/// Says which headers it was sent.
fn stranger() -> Router {
    async fn home(headers: HeaderMap) -> String {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names.join(", ")
    }
    Router::new().route("/", any(home))
}
