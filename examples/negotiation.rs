//! Content negotiation: what a service reads, and which of the types it writes a client gets. `cargo run --example negotiation`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{
    Extension, Router,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError},
    listener::{
        Listener,
        extract::Json,
        negotiation::{ConsumesLayer, Negotiated, ProducesLayer},
    },
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

// ANCHOR: app
fn app() -> Result<Router, ConfigError> {
    let report = Router::new()
        .route("/orders", get(orders))
        // What the handler can write, the best first.
        .route_layer(ProducesLayer::try_new(["application/json", "text/csv"])?);
    let intake = Router::new()
        .route("/orders/new", post(order))
        // `+json` is JSON with a name, such as `application/merge-patch+json`: each has to be listed.
        .route_layer(ConsumesLayer::try_new(["application/json"])?);
    Ok(report.merge(intake))
}
// ANCHOR_END: app

// ANCHOR: produces
async fn orders(Extension(negotiated): Extension<Negotiated>) -> Response {
    let order = Order {
        item: "tea".to_owned(),
        count: 2,
    };
    // One of those that were offered, so there is nothing else.
    match negotiated.media_type().essence() {
        "text/csv" => {
            let csv = format!("item,count\n{},{}\n", order.item, order.count);
            ([(header::CONTENT_TYPE, "text/csv")], csv).into_response()
        }
        _ => Json(order).into_response(),
    }
}
// ANCHOR_END: produces

async fn order(Json(order): Json<Order>) -> String {
    format!("{} of {}", order.count, order.item)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    let handle = listener.handle();
    let app = app()?;
    let serving = tokio::spawn(async move { listener.serve(app).await });

    let client = Transport::new();
    for accept in [
        "*/*",
        "text/csv, application/json;q=0.5",
        "text/*",
        "image/png",
    ] {
        let call = client.get(format!("{url}/orders"));
        let response = call.header("accept", accept).send().await?;
        let field = |name: &str| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or("none")
        };
        println!(
            "Accept: {accept}: {}, {}, Vary: {}",
            response.status(),
            field("content-type"),
            field("vary"),
        );
    }
    for (content_type, body) in [
        ("application/json", r#"{"item":"tea","count":2}"#),
        ("text/xml", "<order/>"),
    ] {
        let call = client.post(format!("{url}/orders/new"));
        let call = call.header("content-type", content_type).body(body);
        let response = call.send().await?;
        println!("Content-Type: {content_type}: {}", response.status());
        println!("  {}", response.text().await?);
    }

    handle.shutdown();
    serving.await?;
    Ok(())
}
