//! In handlers of axum, over sockets.

use axum::{
    Extension, Router,
    body::Body as AxumBody,
    routing::{get as on_get, post as on_post},
};
use bartizan_core::Body;
use bartizan_listener::extract::{
    BodyLimit, Either, ExtractError, Form, Garde, Headers, Json, Query, Raw, Text, Typed, Valid,
    Validate, Violations, Xml,
    multipart::{Multipart, MultipartLimits},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use crate::support::{bind, get, h1, h2, text, within};

#[derive(Deserialize, Serialize, garde::Validate)]
struct Item {
    #[garde(length(min = 1))]
    name: String,
    #[garde(skip)]
    price: Option<u32>,
}

impl Validate for Item {
    fn validate(&self, violations: &mut Violations) {
        violations.check(self.price != Some(0), "/price", "must not be nothing");
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    start: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Tenant {
    x_tenant: String,
}

impl Validate for Tenant {
    fn validate(&self, violations: &mut Violations) {
        violations.check(!self.x_tenant.is_empty(), "/x-tenant", "must not be empty");
    }
}

async fn place(
    Query(page): Query<Page>,
    Headers(tenant): Headers<Tenant>,
    Valid(Json(item)): Valid<Json<Item>>,
) -> Typed<201, Json<String>> {
    let Item { name, price } = item;
    let said = format!("{} {} {name} {price:?}", page.start, tenant.x_tenant);
    Typed::new(Json(said)).with_header(header::LOCATION, HeaderValue::from_static("/items/7"))
}

async fn maybe(item: Option<Json<Item>>) -> Either<Text, Typed<404, ()>> {
    match item {
        Some(Json(item)) => Either::Left(Text(item.name)),
        None => Either::Right(Typed::new(())),
    }
}

async fn upload(mut upload: Multipart) -> Result<Text, ExtractError> {
    let mut said = String::new();
    while let Some(mut part) = upload.next_part().await? {
        let mut length = 0;
        while let Some(data) = part.chunk().await? {
            length += data.len();
        }
        said += &format!("{}:{length} ", part.name());
    }
    Ok(Text(said))
}

fn router() -> Router {
    Router::new()
        .route("/items", on_post(place))
        .route("/maybe", on_post(maybe))
        .route("/upload", on_post(upload))
        .route("/small", on_post(|Raw(body): Raw| async { Raw(body) }))
        .layer(Extension(MultipartLimits::default().parts(2)))
        .route(
            "/garde",
            on_post(|Garde(Form(item)): Garde<Form<Item>>| async { Text(item.name) }),
        )
        .route("/xml", on_post(|Xml(item): Xml<Item>| async { Xml(item) }))
        .route(
            "/valid",
            on_get(|Valid(Query(item)): Valid<Query<Item>>| async { Text(item.name) }),
        )
        .route(
            "/tenant",
            on_get(|Valid(Headers(tenant)): Valid<Headers<Tenant>>| async {
                Text(tenant.x_tenant)
            }),
        )
        .layer(Extension(BodyLimit(1_000)))
}

fn request(path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = get(path).map(|_| Full::new(body.into()));
    *request.method_mut() = Method::POST;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type.parse().expect("a value"));
    headers.insert("x-tenant", HeaderValue::from_static("a"));
    request.headers_mut().extend(headers);
    request
}

#[tokio::test]
async fn a_router_over_sockets_binds_and_refuses() {
    let listener = bind().await;
    let (addr, handle) = (listener.local_addr(), listener.handle());
    let serving = tokio::spawn(listener.serve(router()));
    let (mut one, mut two) = (h1(addr).await, h2(addr).await);
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let parts = |parts: usize| {
        let part = "--b\r\ncontent-disposition: form-data; name=a\r\n\r\n12345\r\n";
        part.repeat(parts) + "--b--"
    };
    for (path, content_type, body, status, expected) in [
        (
            "/items?start=3",
            json,
            r#"{"name":"x"}"#.to_owned(),
            201,
            "\"3 a x None\"",
        ),
        (
            "/items",
            json,
            r#"{"name":"x","price":"1"}"#.to_owned(),
            422,
            "\"#/price\"",
        ),
        (
            "/items",
            json,
            r#"{"name":"x","price":0}"#.to_owned(),
            422,
            "must not be nothing",
        ),
        (
            "/items?start=x",
            json,
            "{}".to_owned(),
            400,
            "\"parameter\":\"start\"",
        ),
        ("/items", json, "{".to_owned(), 400, "not JSON"),
        ("/items", form, "name=x".to_owned(), 415, "application/json"),
        ("/items", json, "x".repeat(1_001), 413, "1000 bytes"),
        ("/maybe", json, String::new(), 404, ""),
        ("/maybe", json, r#"{"name":"x"}"#.to_owned(), 200, "x"),
        ("/garde", form, "name=x".to_owned(), 200, "x"),
        ("/garde", form, "name=".to_owned(), 422, "\"#/name\""),
        (
            "/xml",
            "text/xml",
            "<a><name>x</name></a>".to_owned(),
            200,
            "<Item><name>x</name>",
        ),
        (
            "/upload",
            "multipart/form-data; boundary=b",
            parts(2),
            200,
            "a:5 a:5 ",
        ),
        (
            "/upload",
            "multipart/form-data; boundary=b",
            parts(3),
            413,
            "more than 2 parts",
        ),
    ] {
        within(one.ready()).await.expect("it is kept alive");
        let responses = [
            one.send_request(request(path, content_type, body.clone()))
                .await,
            two.send_request(request(path, content_type, body)).await,
        ];
        for response in responses {
            let response = response.expect("a response");
            assert_eq!(response.status(), status, "{path}");
            let is_located = response.headers().contains_key(header::LOCATION);
            assert_eq!(is_located, status == 201);
            let answer = text(response).await;
            assert!(answer.contains(expected), "{path} {status}: {answer}");
        }
    }
    for path in ["/valid?name=x&price=0", "/tenant"] {
        let mut invalid = get(path);
        let none = HeaderValue::from_static("");
        invalid.headers_mut().insert("x-tenant", none);
        let invalid = one.send_request(invalid).await.expect("a response");
        assert_eq!(invalid.status(), 400, "{path}");
        let expected = match path {
            "/tenant" => r#"{"header":"x-tenant","detail":"must not be empty"}"#,
            _ => r#"{"parameter":"price","detail":"must not be nothing"}"#,
        };
        let answer = text(invalid).await;
        assert!(answer.contains(expected), "{path}: {answer}");
    }
    handle.shutdown();
    within(serving).await.expect("no panic");
}

#[tokio::test]
async fn the_reason_is_there_for_layers_above() {
    let request = Request::post("/items").header("x-tenant", "a");
    let request = request.body(AxumBody::empty()).expect("a request");
    let response = router().oneshot(request).await.expect("it cannot fail");
    let kept = response.extensions().get::<ExtractError>();
    assert!(kept.is_some_and(ExtractError::is_unsupported));
}

#[tokio::test]
async fn responses_are_the_same_in_axum() {
    async fn whole(response: Response<AxumBody>) -> (u16, Option<HeaderValue>, Bytes) {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let content_type = head.headers.get(header::CONTENT_TYPE).cloned();
        (head.status.as_u16(), content_type, body)
    }
    use axum::response::IntoResponse;
    use bartizan_listener::extract::Respond;

    let typed = || Typed::<409, _>::new(Json([1, 2]));
    let plain: Response<Body> = typed().respond();
    let in_axum = whole(typed().into_response()).await;
    assert_eq!(in_axum, whole(plain.map(AxumBody::new)).await);
    assert_eq!(in_axum.0, 409);
    // Over content that only axum knows.
    let (status, _, body) = whole(Typed::<404, _>::new("not here").into_response()).await;
    assert_eq!((status, &body[..]), (404, &b"not here"[..]));
}
