//! Proxies: by rules, by the environment, and for one request; and a small proxy to show it. `cargo run --example proxies`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, Uri, header},
    response::IntoResponse,
    routing::any,
};
use bartizan::{
    client::{
        Client, Jar, RequestExt, ResponseExt, Transport,
        connect::ConnectOptions,
        proxy::{Proxies, Proxy},
        stack,
    },
    core::{BoxError, ConfigError},
    listener::Listener,
};

// ANCHOR: client
fn client(proxies: Proxies) -> Result<Client, ConfigError> {
    // The proxies belong to what makes the connections, so that no two routes share one.
    let transport = Transport::builder().proxies(proxies).build()?;
    Ok(stack::full(transport, Jar::new()))
}
// ANCHOR_END: client

// ANCHOR: rules
fn rules(proxy: &str, other: &str) -> Result<Proxies, ConfigError> {
    let proxy: Proxy = proxy.parse()?;
    let other: Proxy = other.parse()?;
    Ok(Proxies::new()
        // Directly, whatever the rules say.
        .bypass("localhost, 127.0.0.1, .corp.example".parse()?)
        // For these alone.
        .only("partner.example".parse()?, other)
        // For everything else.
        .all(proxy.try_credentials("ada", "s3cret")?))
}
// ANCHOR_END: rules

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let origin = start(Router::new().fallback(any(|| async { "hello" }))).await?;
    let named = |name: &'static str| proxy(name, &origin);
    let (proxy, other) = (start(named("proxy")).await?, start(named("other")).await?);

    let client = client(rules(&proxy, &other)?)?;
    for (what, uri) in [
        ("the proxy", "http://api.example/".to_owned()),
        ("the other one", "http://partner.example/".to_owned()),
        ("none", origin.clone()),
    ] {
        let response = client.get(uri).send().await?;
        println!("through {what}: {}", via(&response));
    }

    // ANCHOR: one
    // One request goes elsewhere, or directly.
    let options = ConnectOptions::new().proxy(other.parse()?);
    let response = client
        .get("http://api.example/")
        .connect_options(options)
        .send()
        .await?;
    println!("one request: {}", via(&response));
    let response = client
        .get(&origin)
        .connect_options(ConnectOptions::new().direct())
        .send()
        .await?;
    println!("one directly: {}", via(&response));
    // ANCHOR_END: one

    // ANCHOR: env
    // As curl reads it. A program says `Proxies::try_from_env()`.
    let proxies = Proxies::try_from_vars(|name| match name {
        "http_proxy" => Some(proxy.clone()),
        "no_proxy" => Some("127.0.0.1".to_owned()),
        _ => None,
    })?;
    assert!(!proxies.is_empty());

    let error =
        Proxies::try_from_vars(|name| (name == "https_proxy").then(|| "htp://x".to_owned()));
    println!("{}", error.expect_err("a misspelt one is not passed over"));
    // ANCHOR_END: env

    // ANCHOR: refused
    // Without the credentials.
    let stranger = self::client(Proxies::new().all(proxy.parse()?))?;
    let response = stranger.get("http://api.example/").send().await?;
    println!("without credentials: {}", response.status());

    let gone: Proxy = "http://127.0.0.1:9".parse()?;
    let stranded = self::client(Proxies::new().all(gone))?;
    let error = stranded.get("http://api.example/").send().await;
    let error = error.expect_err("nobody listens there");
    println!(
        "a proxy that is gone: proxy {}, unsent {}",
        error.is_proxy(),
        error.is_unsent()
    );
    // ANCHOR_END: refused
    Ok(())
}

fn via<B>(response: &Response<B>) -> &str {
    let via = response.headers().get(header::VIA);
    via.and_then(|via| via.to_str().ok()).unwrap_or("nothing")
}

async fn start(app: Router) -> Result<String, BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(app));
    Ok(url)
}

// ANCHOR: proxy
/// A proxy for plain HTTP: every name leads to `origin`. The one that is called `proxy` asks who you are.
fn proxy(name: &'static str, origin: &str) -> Router {
    async fn forward(
        State((name, origin, client)): State<(&'static str, String, Transport)>,
        request: Request,
    ) -> Result<Response<Body>, StatusCode> {
        let user = request.headers().get(header::PROXY_AUTHORIZATION);
        // `ada:s3cret` in base64.
        if name == "proxy" && user.is_none_or(|it| it != "Basic YWRhOnMzY3JldA==") {
            return Ok(StatusCode::PROXY_AUTHENTICATION_REQUIRED.into_response());
        }
        let uri: Uri = origin.parse().map_err(|_| StatusCode::BAD_GATEWAY)?;
        // Leaves out what was for this hop alone: the credentials too.
        let response = client.forward(uri, request).send().await;
        // And that of the way back.
        let mut response = response
            .map_err(|_| StatusCode::BAD_GATEWAY)?
            .end_to_end()
            .map(Body::new);
        let via = http::HeaderValue::from_static(name);
        response.headers_mut().insert(header::VIA, via);
        Ok(response)
    }
    Router::new()
        .fallback(any(forward))
        .with_state((name, origin.to_owned(), Transport::new()))
}
// ANCHOR_END: proxy
