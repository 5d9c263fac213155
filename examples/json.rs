//! Bodies: JSON, forms and XML, and errors that have a type. `cargo run --example json`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use bartizan::{
    client::{BaseUrlLayer, Client, RequestExt, ResponseExt},
    core::BoxError,
    listener::Listener,
};
use serde::{Deserialize, Serialize};

// ANCHOR: types
#[derive(Debug, Deserialize, Serialize)]
struct User {
    id: u32,
    name: String,
}

/// What the server says is wrong.
#[derive(Debug, Deserialize, Serialize)]
struct Problem {
    title: String,
    field: String,
}
// ANCHOR_END: types

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(server()));
    let client = Client::new().layer(BaseUrlLayer::try_new(base.as_str())?);

    // ANCHOR: json
    let ada = User {
        id: 1,
        name: "Ada".to_owned(),
    };
    let response = client.post("/users").json(&ada).send().await?;
    let created: User = response.error_for_status()?.json().await?;
    println!("created {}", created.name);
    // ANCHOR_END: json

    // ANCHOR: typed
    let nameless = User {
        id: 2,
        name: String::new(),
    };
    let response = client.post("/users").json(&nameless).send().await?;
    match response.json_result::<User, Problem>().await? {
        Ok(user) => println!("created {}", user.body().name),
        Err(refused) => {
            let (status, problem) = (refused.status(), refused.body());
            println!("{status}: {} ({})", problem.title, problem.field);
        }
    }
    // ANCHOR_END: typed

    // ANCHOR: status
    let response = client.post("/users").json(&nameless).send().await?;
    let error = response
        .error_for_status_with_body()
        .await
        .expect_err("it has no name");
    println!("{error}");
    println!(
        "with {}",
        String::from_utf8_lossy(error.body().expect("it was kept"))
    );
    // ANCHOR_END: status

    // ANCHOR: form
    let response = client
        .post("/search")
        .form([("q", "rain & sun"), ("page", "2")])
        .send()
        .await?;
    println!("form: {}", response.text().await?);

    #[derive(Serialize)]
    struct Search<'a> {
        q: &'a str,
        page: u32,
    }
    let search = Search { q: "rain", page: 3 };
    let response = client.post("/search").form_of(&search).send().await?;
    println!("form: {}", response.text().await?);
    // ANCHOR_END: form

    // ANCHOR: xml
    #[derive(Deserialize)]
    struct Feed {
        title: String,
        entry: Vec<String>,
    }
    let feed: Feed = client.get("/feed").send().await?.xml().await?;
    println!("{}: {}", feed.title, feed.entry.join(", "));
    // ANCHOR_END: xml

    // ANCHOR: wrong
    // A user without a name.
    let response = client.get("/users/3").send().await?;
    let error = response.json::<User>().await.expect_err("not a user");
    assert!(error.is_decode());
    println!("{error}");
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        println!("  because: {error}");
        source = error.source();
    }
    // ANCHOR_END: wrong
    Ok(())
}

fn server() -> Router {
    async fn create(Json(user): Json<User>) -> Result<(StatusCode, Json<User>), impl IntoResponse> {
        if user.name.is_empty() {
            let problem = Problem {
                title: "a user needs a name".to_owned(),
                field: "name".to_owned(),
            };
            return Err((StatusCode::UNPROCESSABLE_ENTITY, Json(problem)));
        }
        Ok((StatusCode::CREATED, Json(user)))
    }

    async fn feed() -> impl IntoResponse {
        let feed = "<feed><title>News</title><entry>rain</entry><entry>sun</entry></feed>";
        ([(header::CONTENT_TYPE, "application/xml")], feed)
    }

    Router::new()
        .route("/users", post(create))
        .route("/users/3", get(|| async { r#"{"id": 3, "name": null}"# }))
        .route("/search", post(|form: String| async { form }))
        .route("/feed", get(feed))
}
