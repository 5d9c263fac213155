//! Uploads: files that are streamed, limits for them, and validation errors that name the field.
//! `cargo run --example receiving_uploads`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Extension, Router, routing::post};
use bartizan::{
    client::{
        RequestExt, ResponseExt, Transport,
        multipart::{Multipart as Form, Part},
    },
    core::BoxError,
    listener::{
        Listener,
        extract::{
            BodyLimit, ExtractError, Json, Typed, Valid, Validate, Violations,
            multipart::{Multipart, MultipartLimits},
        },
    },
};
use serde::{Deserialize, Serialize};

// ANCHOR: upload
/// What was uploaded.
#[derive(Default, Serialize)]
struct Photo {
    title: String,
    file: String,
    bytes: usize,
}

async fn upload(mut parts: Multipart) -> Result<Typed<201, Json<Photo>>, ExtractError> {
    let mut photo = Photo::default();
    while let Some(mut part) = parts.next_part().await? {
        match part.name() {
            "title" => photo.title = part.text().await?,
            "photo" => {
                // A name is for showing. As the name of a file here it would be the client's choice of it.
                photo.file = part.file_name().unwrap_or("unnamed").to_owned();
                while let Some(data) = part.chunk().await? {
                    // To a file or a bucket. What is not read yet is not sent yet.
                    photo.bytes += data.len();
                }
            }
            // What is not known is skipped, within the limits.
            _ => {}
        }
    }
    Ok(Typed::new(Json(photo)))
}
// ANCHOR_END: upload

// ANCHOR: validate
#[derive(Deserialize)]
struct Order {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    count: u32,
}

impl Validate for Order {
    fn validate(&self, violations: &mut Violations) {
        violations.check(!self.items.is_empty(), "/items", "must not be empty");
        for (i, item) in self.items.iter().enumerate() {
            let named = !item.name.is_empty();
            violations.check(named, &format!("/items/{i}/name"), "must not be empty");
            let counted = (1..=100).contains(&item.count);
            violations.check(counted, &format!("/items/{i}/count"), "must be 1 to 100");
        }
    }
}

async fn order(Valid(Json(order)): Valid<Json<Order>>) -> String {
    format!("{} items", order.items.len())
}
// ANCHOR_END: validate

// ANCHOR: app
fn app() -> Router {
    let limits = MultipartLimits::default()
        // All of it, on the wire.
        .total(300_000)
        // Each part, streamed.
        .part(200_000)
        // Each part that is read as a whole, such as the title.
        .in_memory(1_000)
        .parts(8);
    let photos = Router::new()
        .route("/photos", post(upload))
        .layer(Extension(limits));
    let orders = Router::new()
        .route("/orders", post(order))
        .layer(Extension(BodyLimit(10_000)));
    photos.merge(orders)
}
// ANCHOR_END: app

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let serving = tokio::spawn(async move { listener.serve(app()).await });

    let client = Transport::new();
    for size in [100_000, 250_000] {
        let photo = Part::bytes(vec![0; size]).file_name("cellar.jpg");
        let form = Form::form().text("title", "Cellar").field("photo", photo);
        let call = client.post(format!("{url}/photos")).multipart(form);
        let response = call.send().await?;
        println!("a photo of {size} bytes: {}", response.status());
        println!("  {}", response.text().await?);
    }
    for body in [
        r#"{"items":[{"name":"tea","count":2}]}"#,
        r#"{"items":[{"name":"","count":2},{"name":"tea","count":0}]}"#,
        r#"{"items":[{"name":"tea","count":"two"}]}"#,
        r#"{"items":["#,
    ] {
        let call = client.post(format!("{url}/orders"));
        let call = call.header("content-type", "application/json").body(body);
        let response = call.send().await?;
        println!("{body}: {}", response.status());
        println!("  {}", response.text().await?);
    }

    handle.shutdown();
    serving.await?;
    Ok(())
}
