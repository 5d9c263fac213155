//! CORS: one set of rules for an API with cookies, and another for what is anybody's. `cargo run --example cors`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderName, Method, header},
    routing::get,
};
use bartizan::{
    client::{RequestExt, Transport},
    core::{BoxError, ConfigError},
    listener::{Listener, cors::CorsLayer},
};

// ANCHOR: app
fn app() -> Result<Router, ConfigError> {
    // Whose pages may act for their user.
    let ours = CorsLayer::builder()
        .origins(["https://app.example.com"])
        .methods([Method::GET, Method::PUT])
        .headers([header::CONTENT_TYPE])
        .expose([HeaderName::from_static("x-request-id")])
        // Cookies, so no wildcard anywhere.
        .credentials(true)
        .max_age(Duration::from_secs(600))
        // A page of somebody else's could not read the answer. It shall not have the effect either.
        .refuse_others()
        .build()?;
    // What everybody may see, without cookies.
    let anybody = CorsLayer::builder().any_origin().build()?;

    let api = Router::new()
        .route(
            "/orders",
            get(|| async { "orders" }).put(|| async { "changed" }),
        )
        // Above whatever asks who is there: preflights carry no credentials.
        .route_layer(ours);
    let fonts = Router::new()
        .route("/font", get(|| async { "ABC" }))
        .route_layer(anybody);
    Ok(api.merge(fonts))
}
// ANCHOR_END: app

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let app = app()?;
    let serving = tokio::spawn(async move { listener.serve(app).await });

    let client = Transport::new();
    for (method, path, origin) in [
        // What a browser asks before it sends a PUT of another origin.
        (Method::OPTIONS, "/orders", "https://app.example.com"),
        (Method::OPTIONS, "/orders", "https://evil.example.com"),
        (Method::GET, "/orders", "https://app.example.com"),
        (Method::GET, "/orders", "https://evil.example.com"),
        (Method::GET, "/font", "https://evil.example.com"),
    ] {
        let mut call = client
            .request(method.clone(), format!("{url}{path}"))
            .header("origin", origin);
        if method == Method::OPTIONS {
            call = call.header("access-control-request-method", "PUT");
        }
        let response = call.send().await?;
        let allowed = response.headers().get("access-control-allow-origin");
        println!(
            "{method} {path} from {origin}: {}, allowed: {}",
            response.status(),
            allowed.and_then(|it| it.to_str().ok()).unwrap_or("nobody"),
        );
    }

    handle.shutdown();
    serving.await?;
    Ok(())
}
