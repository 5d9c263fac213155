//! Default headers.

use bartizan_client::{BodyLimit, CallOptions, CallTimeout, DefaultsLayer, RequestExt};
use bartizan_core::{Body, BoxError};
use bartizan_testing::contract;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use std::time::Duration;
use tower::{Layer as _, ServiceBuilder, service_fn};

async fn sent(layer: DefaultsLayer, own: HeaderMap) -> HeaderMap {
    let echo = service_fn(|request: Request<Body>| async move {
        Ok::<_, BoxError>(Response::new(request.headers().clone()))
    });
    let client = ServiceBuilder::new().layer(layer).service(echo);
    let response = client.get("/").headers(own).send().await;
    response.expect("an answer").into_body()
}

#[tokio::test]
async fn a_default_is_for_a_name_and_not_for_a_value() {
    let mut several = HeaderMap::new();
    several.append(header::ACCEPT, HeaderValue::from_static("text/html"));
    several.append(header::ACCEPT, HeaderValue::from_static("text/plain"));
    let layer = DefaultsLayer::new().headers(several);

    let headers = sent(layer.clone(), HeaderMap::new()).await;
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().collect();
    assert_eq!(accept, ["text/html", "text/plain"]);
    assert!(
        headers[header::USER_AGENT]
            .to_str()
            .expect("text")
            .starts_with("bartizan/")
    );

    let own = [(header::ACCEPT, HeaderValue::from_static(""))]
        .into_iter()
        .collect();
    let headers = sent(layer, own).await;
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().collect();
    assert_eq!(accept, [""]);
}

#[tokio::test]
async fn secrets_are_marked_and_shown_nowhere() {
    let layer = DefaultsLayer::empty()
        .try_header("authorization", "Bearer secret")
        .expect("a header");
    assert!(!format!("{layer:?}").contains("secret"));
    let headers = sent(layer, HeaderMap::new()).await;
    assert!(headers[header::AUTHORIZATION].is_sensitive());
    let error = DefaultsLayer::empty()
        .try_header("x-key", "secret\n")
        .expect_err("no value");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn an_option_is_a_requests_own_unless_it_has_none() {
    let echo = service_fn(|request: Request<Body>| async move {
        let options = request.extensions();
        let told: (Option<BodyLimit>, Option<CallTimeout>) =
            (options.get().copied(), options.get().copied());
        Ok::<_, BoxError>(Response::new(told))
    });
    let options = CallOptions::new()
        .with(BodyLimit(1))
        .with(CallTimeout(Duration::MAX));
    let defaults = DefaultsLayer::empty().options(options);
    let client = ServiceBuilder::new().layer(defaults).service(echo);
    let request = client.get("/").body_limit(2);
    let told = request.send().await.expect("an answer").into_body();
    assert_eq!(told, (Some(BodyLimit(2)), Some(CallTimeout(Duration::MAX))));
}

contract! {
    mod defaults_layer {
        layer: |probe| DefaultsLayer::new().layer(probe),
        request: || Request::get("/").body(Body::empty()).expect("a request"),
        response: || Response::new(Body::empty()),
    }
}
