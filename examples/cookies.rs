//! Cookies that outlive the program. `cargo run --example cookies`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::path::{Path, PathBuf};

use axum::{
    Router,
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse},
    routing::get,
};
use bartizan::{
    client::{Client, Jar, NoCookies, RequestExt, ResponseExt, Transport, stack},
    core::BoxError,
    listener::Listener,
};
use tokio::task::spawn_blocking;

// ANCHOR: run
/// One run of a program: what it knew the last time, a call, and what it knows now.
async fn run(base: &str, path: &Path) -> Result<String, BoxError> {
    let jar = Jar::new();
    // A file that is not there has no cookies: this may be the first run.
    let loaded = blocking(&jar, path, Jar::load).await?;

    let client: Client = stack::full(Transport::new(), jar.clone());
    let response = client.get(format!("{base}/")).send().await?;
    let text = response.error_for_status()?.text().await?;

    let saved = blocking(&jar, path, Jar::save).await?;
    Ok(format!(
        "{loaded} loaded, {text}, {saved} of {} saved",
        jar.len()
    ))
}

/// Files block, and tasks must not.
async fn blocking(
    jar: &Jar,
    path: &Path,
    work: impl FnOnce(&Jar, PathBuf) -> std::io::Result<usize> + Send + 'static,
) -> Result<usize, BoxError> {
    let (jar, path) = (jar.clone(), path.to_owned());
    Ok(spawn_blocking(move || work(&jar, path)).await??)
}
// ANCHOR_END: run

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));
    let path = std::env::temp_dir().join(format!("bartizan-cookies-{}.jsonl", std::process::id()));

    println!("first run: {}", run(&base, &path).await?);
    println!("second run: {}", run(&base, &path).await?);
    tokio::fs::remove_file(&path).await?;

    // ANCHOR: jar
    let jar = Jar::new();
    let uri = base.parse()?;
    jar.add(&uri, "theme=dark; Max-Age=3600")?;
    println!("sent: {}", jar.matching(&uri).unwrap_or_default());
    let theme = jar.get("127.0.0.1", "/", "theme").ok_or("it was added")?;
    println!(
        "{} is for {} alone: {}",
        theme.name(),
        theme.domain(),
        theme.is_host_only()
    );

    // For all of a domain whose hosts belong to strangers: it would be everybody's.
    let error = jar.add(&"https://shop.co.uk/".parse()?, "id=7; Domain=co.uk");
    println!("refused: {}", error.expect_err("co.uk is a public suffix"));

    let client: Client = stack::full(Transport::new(), jar.clone());
    let response = client.get(&uri).extension(NoCookies).send().await?;
    println!(
        "without: {}, and there are {}",
        response.text().await?,
        jar.len()
    );
    // ANCHOR_END: jar
    Ok(())
}

/// Knows who comes back.
fn server() -> Router {
    async fn home(headers: HeaderMap) -> impl IntoResponse {
        let cookies = headers.get(header::COOKIE).and_then(|it| it.to_str().ok());
        let text = match cookies {
            Some(cookies) => format!("welcome back, {cookies}"),
            None => "welcome, stranger".to_owned(),
        };
        let set = AppendHeaders([
            // For a year, and for this session.
            (header::SET_COOKIE, "visitor=7; Max-Age=31536000; HttpOnly"),
            (header::SET_COOKIE, "cart=lamp"),
        ]);
        (set, text)
    }
    Router::new().route("/", get(home))
}
