//! A first client: one that is ready made, and one of one's own layers. `cargo run --example first_client`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    Router,
    extract::Query,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use bartizan::{
    client::{
        BaseUrlLayer, CallTimeoutLayer, Client, ConnectionInfo, DefaultsLayer, FinalUri, Jar,
        RequestExt, ResponseExt, ResponseLimitsLayer, Transport, compression::DecompressionLayer,
        stack,
    },
    core::{BoxError, ConfigError},
    listener::Listener,
    resilience::{
        backoff::Backoff,
        retry::{Attempts, RetryLayer},
    },
};
use serde::Deserialize;
use tower::ServiceBuilder;

// ANCHOR: hand
/// What an application keeps: a stack of any layers, in one type.
struct Notes {
    client: Client,
}

impl Notes {
    fn new(base: &str) -> Result<Self, ConfigError> {
        let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1));
        let stack = ServiceBuilder::new()
            // Around everything: the time is the caller's.
            .layer(CallTimeoutLayer::try_new(Duration::from_secs(10))?)
            // Once for all attempts.
            .layer(DefaultsLayer::new().try_header("x-region", "eu")?)
            // Makes the attempts that the layers below work on.
            .layer(RetryLayer::builder().backoff(backoff).build()?)
            // Every request goes to one server.
            .layer(BaseUrlLayer::try_new(base)?)
            // Above the limits, whose bytes are those of the wire.
            .layer(DecompressionLayer::new())
            .layer(ResponseLimitsLayer::default())
            // Connections.
            .service(Transport::new());
        let client = Client::from_service(stack);
        Ok(Self { client })
    }

    async fn note(&self, id: u32) -> Result<String, bartizan::client::Error> {
        let response = self.client.get(format!("/notes/{id}")).send().await?;
        if let Some(attempts) = response.extensions().get::<Attempts>() {
            println!("attempts: {}", attempts.count());
        }
        response.error_for_status()?.text().await
    }
}
// ANCHOR_END: hand

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));

    // ANCHOR: full
    let jar = Jar::new();
    let client: Client = stack::full(Transport::new(), jar.clone());
    let login = client
        .get(format!("{base}/login"))
        .query([("user", "Ada")])
        .send()
        .await?
        .error_for_status()?;
    // ANCHOR_END: full

    // ANCHOR: learned
    let end = login
        .extensions()
        .get::<FinalUri>()
        .expect("`full` redirects");
    println!("it ended at {}", end.uri().path());
    let connection = login
        .extensions()
        .get::<ConnectionInfo>()
        .expect("a pool's");
    println!("it came by {:?}", connection.version());
    println!("{}", login.text().await?);
    println!("cookies: {}", jar.len());
    // ANCHOR_END: learned

    let notes = Notes::new(&base)?;
    println!("note 1: {}", notes.note(1).await?);

    // ANCHOR: errors
    let error = notes.note(9).await.expect_err("there is no note 9");
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    println!("{error}");

    // A port that nobody listens at.
    let error = client
        .get("http://127.0.0.1:9/?key=secret")
        .send()
        .await
        .expect_err("nobody listens");
    assert!(error.is_connect() && error.is_unsent());
    println!("{error}");
    // ANCHOR_END: errors
    Ok(())
}

/// Logs in by a cookie and a redirect, and has one note, at the second time of asking.
fn server() -> Router {
    #[derive(Deserialize)]
    struct Login {
        user: String,
    }

    async fn login(Query(login): Query<Login>) -> impl IntoResponse {
        let cookie = format!("user={}", login.user);
        let headers = [
            (header::SET_COOKIE, cookie),
            (header::LOCATION, "/home".to_owned()),
        ];
        (StatusCode::SEE_OTHER, headers)
    }

    async fn home(headers: HeaderMap) -> String {
        let cookie = headers
            .get("cookie")
            .and_then(|cookie| cookie.to_str().ok());
        format!("hello, {}", cookie.unwrap_or("stranger"))
    }

    async fn note() -> Result<&'static str, StatusCode> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 => Err(StatusCode::SERVICE_UNAVAILABLE),
            _ => Ok("buy milk"),
        }
    }

    Router::new()
        .route("/login", get(login))
        .route("/home", get(home))
        .route("/notes/1", get(note))
}
