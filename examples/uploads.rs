//! Uploads: a file, a form with a file in it, a stream, and how far they are. `cargo run --example uploads`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{path::Path, time::Duration};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{post, put},
};
use bartizan::{
    client::{
        BaseUrlLayer, Client, Error, ProgressBody, RequestExt, ResponseExt,
        multipart::{Multipart, Part},
    },
    core::{Body, BoxError},
    listener::Listener,
};
use futures_util::{StreamExt, stream};

// ANCHOR: file
/// Sends a file as it is read, and says how far it is.
async fn upload(client: &Client, path: &Path) -> Result<String, Error> {
    let request = client
        .put("/files/7")
        .header("content-type", "image/png")
        .file(path)
        .await
        .build()?;
    let mut quarters = 0;
    let request = request.map(|body| {
        Body::new(ProgressBody::new(body, move |progress| {
            let done = progress.fraction().unwrap_or_default();
            while f64::from(quarters) + 1.0 <= done * 4.0 {
                quarters += 1;
                println!("  {} % sent", quarters * 25);
            }
        }))
    });
    let response = client.execute(request).send().await?;
    response.error_for_status()?.text().await
}
// ANCHOR_END: file

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));
    let client = Client::new().layer(BaseUrlLayer::try_new(base.as_str())?);

    let directory = std::env::temp_dir().join(format!("bartizan-uploads-{}", std::process::id()));
    tokio::fs::create_dir_all(&directory).await?;
    let path = directory.join("cellar.png");
    tokio::fs::write(&path, vec![7; 1 << 20]).await?;
    let uploaded = upload(&client, &path).await;
    println!("file: {}", uploaded?);

    // ANCHOR: multipart
    let form = Multipart::form()
        .text("title", "The cellar")
        .field("photo", Part::file(&path).await.content_type("image/png"));
    let response = client.post("/photos").multipart(form).send().await?;
    println!("form: {}", response.error_for_status()?.text().await?);
    // ANCHOR_END: multipart

    // ANCHOR: stream
    let rows = stream::iter(0..1000).map(|row| Ok::<_, BoxError>(format!("row {row}\n")));
    let response = client.post("/rows").stream(rows).send().await?;
    println!("stream: {}", response.error_for_status()?.text().await?);
    // ANCHOR_END: stream

    // ANCHOR: refused
    // Asks first, so that what is refused is not sent.
    let response = client
        .put("/forbidden")
        .file(&path)
        .await
        .expect_continue()
        .timeout(Duration::from_secs(5))
        .send()
        .await?;
    println!("refused before it was sent: {}", response.status());
    // ANCHOR_END: refused

    tokio::fs::remove_dir_all(&directory).await?;
    let error = client.put("/files/7").file(&path).await.send().await;
    println!("{}", error.expect_err("the file is gone"));
    Ok(())
}

/// Says what came.
fn server() -> Router {
    async fn receive(request: Request) -> Result<String, StatusCode> {
        let announced = request.headers().get(header::CONTENT_LENGTH).cloned();
        let media_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let bytes = to_bytes(request.into_body(), 16 << 20)
            .await
            .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let announced = match announced {
            Some(length) => format!("announced {length:?}"),
            None => "not announced".to_owned(),
        };
        let media_type = media_type.as_ref().and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or("no type").split(';').next();
        let media_type = media_type.unwrap_or_default();
        Ok(format!(
            "{} bytes of {media_type}, {announced}",
            bytes.len()
        ))
    }

    Router::new()
        .route("/files/7", put(receive))
        .route("/photos", post(receive))
        .route("/rows", post(receive))
        // It reads nothing.
        .route(
            "/forbidden",
            put(|| async { StatusCode::FORBIDDEN.into_response() }),
        )
}
