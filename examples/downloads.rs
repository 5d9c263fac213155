//! Downloads: into a file, all of it or nothing; and one that goes on where it broke off. `cargo run --example downloads`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{
    future::ready,
    io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Response, StatusCode, header},
    routing::get,
};
use bartizan::{
    client::{BaseUrlLayer, Client, HeadersExt, RequestExt, ResponseExt},
    core::BoxError,
    listener::Listener,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{fs::File, io::AsyncWriteExt, time::sleep};

// ANCHOR: resume
/// Downloads to `path`, and asks for the rest when it breaks off, at most five times.
async fn download(client: &Client, path: &Path) -> Result<u64, BoxError> {
    let mut file = File::create(path).await?;
    let (mut have, mut etag) = (0, None::<String>);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut request = client.get("/flaky");
        if let Some(etag) = etag.as_deref().filter(|_| have > 0) {
            // The rest, if it is still the same file; and else all of that one.
            request = request
                .header("range", format!("bytes={have}-"))
                .header("if-range", etag);
        }
        let response = request.send().await?.error_for_status()?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // It begins anew.
            file = File::create(path).await?;
            have = 0;
        }
        // A weak one does not say that the bytes are the same.
        let strong = response.etag().filter(|etag| !etag.starts_with("W/"));
        etag = strong.map(str::to_owned);

        let mut pieces = response.stream();
        let broken = loop {
            match pieces.try_next().await {
                Ok(Some(piece)) => {
                    file.write_all(&piece).await?;
                    have += piece.len() as u64;
                }
                Ok(None) => {
                    file.sync_all().await?;
                    return Ok(have);
                }
                Err(error) => break error,
            }
        };
        if attempts == 5 {
            return Err(broken.into());
        }
        println!("  broke off, {have} bytes are here");
    }
}
// ANCHOR_END: resume

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));
    let client = Client::new().layer(BaseUrlLayer::try_new(base.as_str())?);
    let directory = std::env::temp_dir().join(format!("bartizan-downloads-{}", std::process::id()));
    tokio::fs::create_dir_all(&directory).await?;
    let path = directory.join("image.iso");

    // ANCHOR: save
    let response = client.get("/file").send().await?.error_for_status()?;
    let mut pieces = 0;
    let length = response
        .save_with(&path, |written, total| {
            pieces += 1;
            if Some(written) == total {
                println!("all {written} bytes are there");
            }
        })
        .await?;
    println!("saved {length} bytes, in pieces: {}", pieces > 0);
    // ANCHOR_END: save

    // ANCHOR: limit
    let response = client.get("/file").send().await?.error_for_status()?;
    let error = response
        .body_limit(1000)
        .save(&path)
        .await
        .expect_err("it is larger");
    assert!(error.is_too_large());
    println!("{}", error.to_string().replace(&base, ""));
    // What was there is there still.
    assert_eq!(tokio::fs::metadata(&path).await?.len(), length);
    // ANCHOR_END: limit

    // ANCHOR: broken
    let other = directory.join("other.iso");
    let response = client.get("/flaky").send().await?.error_for_status()?;
    let error = response.save(&other).await.expect_err("it breaks off");
    assert!(error.is_body());
    println!("half a file: {}", other.exists());
    // ANCHOR_END: broken

    let length = download(&client, &other).await?;
    let same = tokio::fs::read(&other).await? == tokio::fs::read(&path).await?;
    println!("resumed: {length} bytes, the same: {same}");

    tokio::fs::remove_dir_all(&directory).await?;
    Ok(())
}

const FILE: usize = 300_000;

/// A file at `/file`, and the same at `/flaky`, where it breaks off unless the rest is asked for.
fn server() -> Router {
    fn file() -> Vec<u8> {
        (0_u8..=255).cycle().take(FILE).collect()
    }

    async fn flaky(headers: HeaderMap) -> Response<Body> {
        static REQUESTS: AtomicUsize = AtomicUsize::new(0);
        let range = headers.get(header::RANGE).and_then(|it| it.to_str().ok());
        let is_same = headers
            .get(header::IF_RANGE)
            .is_some_and(|it| it == "\"v1\"");
        let from = range.filter(|_| is_same);
        let from = from.and_then(|it| it.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let from = from.filter(|&from: &usize| from < FILE).unwrap_or(0);
        let mut response = Response::builder().header(header::ETAG, "\"v1\"");
        if from > 0 {
            let range = format!("bytes {from}-{}/{FILE}", FILE - 1);
            response = response.status(206).header(header::CONTENT_RANGE, range);
        }
        let rest = file().split_off(from);
        response = response.header(header::CONTENT_LENGTH, rest.len());
        if REQUESTS.fetch_add(1, Ordering::Relaxed) >= 3 {
            return response.body(rest.into()).expect("a response");
        }
        let some = rest[..50_000].to_vec();
        let some = stream::once(ready(Ok(some)));
        let end = stream::once(async {
            // So that the head and what there is of the body are on their way before.
            sleep(Duration::from_millis(10)).await;
            Err(io::Error::other("the disk is gone"))
        });
        let body = Body::from_stream(some.chain(end));
        response.body(body).expect("a response")
    }

    Router::new()
        .route("/file", get(|| async { file() }))
        .route("/flaky", get(flaky))
}
