//! Host-based dispatch: an API, a site of static files and tenants, by the host that a request asks for. `cargo run --example hosts`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Router, extract::Request, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError},
    listener::{
        Listener,
        caching::{CacheControl, CacheControlLayer},
        host::{HostRouter, requested},
    },
};
use tower_http::services::ServeDir;

// ANCHOR: hosts
fn hosts() -> Result<HostRouter<Router>, ConfigError> {
    HostRouter::builder()
        .host("api.example.com", api())
        .host("www.example.com", site())
        // One label, any: but not the two above, which are exact.
        .host("*.example.com", Router::new().fallback(tenant))
        // No `otherwise`: who asks for a host that is not ours gets a 421.
        .build()
}
// ANCHOR_END: hosts

fn api() -> Router {
    Router::new().route("/users/1", get(|| async { "Ada" }))
}

// ANCHOR: site
fn site() -> Router {
    // It answers conditions and ranges, guesses types by names, and does not leave the folder.
    let files = ServeDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/static"));
    Router::new()
        .fallback_service(files)
        .layer(CacheControlLayer::new(
            CacheControl::new()
                .public()
                .max_age(std::time::Duration::from_secs(3600)),
        ))
}
// ANCHOR_END: site

// ANCHOR: tenant
async fn tenant(request: Request) -> String {
    // What the router decided by, so that nobody is deceived.
    let host = requested(&request).map(|it| it.host().to_owned());
    let tenant = host.as_deref().and_then(|host| host.split('.').next());
    format!("the page of {}", tenant.unwrap_or("nobody"))
}
// ANCHOR_END: tenant

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let hosts = hosts()?;
    let serving = tokio::spawn(async move { listener.serve(hosts).await });

    let client = Transport::new();
    for (host, path) in [
        ("api.example.com", "/users/1"),
        ("www.example.com", "/"),
        ("WWW.example.com:80", "/missing.html"),
        ("acme.example.com", "/"),
        ("a.b.example.com", "/"),
        ("elsewhere.net", "/users/1"),
    ] {
        // As DNS and a browser would have it: the address of this machine, and the name of the host.
        let call = client.get(format!("{url}{path}")).header("host", host);
        let response = call.send().await?;
        let status = response.status();
        let field = response.headers().get("cache-control");
        let cached = field.and_then(|it| it.to_str().ok()).unwrap_or("none");
        print!("{host}{path}: {status}, Cache-Control: {cached}: ");
        let text = response.text().await?;
        println!("{}", text.lines().last().unwrap_or_default());
    }

    handle.shutdown();
    serving.await?;
    Ok(())
}
