//! Relative URIs below a base.

use bartizan_client::{BaseUrlLayer, BaseUrlService, Error, RequestExt, ResponseExt, Transport};
use bartizan_core::{Body, BoxError, Rejection, RejectionKind, find};
use bartizan_testing::{Loopback, contract};
use http::{Request, Response, Uri};
use tower::{ServiceBuilder, service_fn};

#[tokio::test]
async fn relative_uris_go_below_the_base_and_others_pass() {
    let client = ServiceBuilder::new()
        .layer(BaseUrlLayer::try_new("http://h:1/v2/").expect("a base"))
        .service_fn(|request: Request<Body>| async move {
            Ok::<_, BoxError>(Response::new(request.uri().clone()))
        });
    for (uri, sent) in [
        ("/a?b=c", "http://h:1/v2/a?b=c"),
        ("/", "http://h:1/v2/"),
        ("//evil/a", "http://h:1/v2//evil/a"),
        ("http://other/a", "http://other/a"),
        ("https://other", "https://other/"),
        ("other:80", "other:80"),
    ] {
        let response = client.get(uri).send().await.expect("an answer");
        assert_eq!(response.into_body(), sent.parse::<Uri>().expect("a URI"));
    }
}

#[tokio::test]
async fn it_stacks_over_a_transport_without_boxing() {
    let server = Loopback::start(|request: Request<Body>| async move {
        Response::new(request.uri().to_string().into())
    })
    .await;
    let base = BaseUrlLayer::try_new(&server.uri("/v2")).expect("a base");
    let client = ServiceBuilder::new().layer(base).service(Transport::new());
    let response = client.get("/a").send().await.expect("a response");
    assert_eq!(response.text().await.expect("a text"), "/v2/a");
}

#[tokio::test]
async fn a_uri_that_gets_too_long_is_refused() {
    let base = format!("http://h/{}", "a".repeat(40_000));
    let unused = service_fn(|_: Request<Body>| async {
        Err::<Response<()>, _>(Error::from(Rejection::new(RejectionKind::Shed, "unused")))
    });
    let client = BaseUrlService::new(unused, base.parse().expect("a base"));
    let error = client.get(format!("/{}", "b".repeat(40_000))).send().await;
    let error = error.expect_err("too long");
    let rejection = find::<Rejection>(&error).expect("a rejection");
    assert_eq!(rejection.kind(), RejectionKind::Unsendable);
    assert!(std::error::Error::source(rejection).is_some());
    assert!(error.is_unsent());
}

contract! {
    mod base_url_layer {
        layer: |probe| BaseUrlService::new(probe, "http://h/v2".parse().expect("a base")),
        request: || Request::get("/a").body(Body::empty()).expect("a request"),
        response: || Response::new(Body::empty()),
    }
}
