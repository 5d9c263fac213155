//! Cookies: the layer.

use std::sync::Arc;

use bartizan_client::{
    CookieLayer, CookieRequest, CookieService, CookieStore, Jar, NoCookies, RedirectLayer,
    RequestExt,
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{Probe, ProbeHandle, contract};
use http::{HeaderValue, Request, Response, Uri, header};
use tower::{ServiceBuilder, service_fn};

type Handle = ProbeHandle<Request<Body>, Response<Body>>;
type Client = CookieService<Probe<Request<Body>, Response<Body>>>;

fn uri(text: &str) -> Uri {
    text.parse().expect("a URI")
}

/// A client whose server sets these at each request.
fn setting(jar: &Jar, cookies: &'static [&'static str]) -> (Client, Handle) {
    let (probe, handle) = Probe::new(move |_: &Request<Body>| {
        let mut response = Response::new(Body::empty());
        for cookie in cookies {
            let value = HeaderValue::from_static(cookie);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    });
    (CookieService::new(probe, jar.clone()), handle)
}

fn sent(handle: &Handle) -> Vec<Option<HeaderValue>> {
    let requests = handle.take_requests();
    requests
        .iter()
        .map(|request| {
            let mut values = request.headers().get_all(header::COOKIE).iter();
            let first = values.next().cloned();
            assert_eq!(values.next(), None, "one field and no more");
            first
        })
        .collect()
}

#[tokio::test]
async fn what_a_response_sets_goes_with_the_next_request() {
    let jar = Jar::new();
    let (client, handle) = setting(&jar, &["a=1", "b=2; Path=/p", "c=3; Domain=other.example"]);
    client
        .get("http://h.example/")
        .send()
        .await
        .expect("an answer");
    client
        .get("http://h.example/p/q")
        .send()
        .await
        .expect("an answer");
    client
        .get("http://other.example/")
        .send()
        .await
        .expect("an answer");
    client.get("/relative").send().await.expect("an answer");
    let sent = sent(&handle);
    let [None, Some(cookie), None, None] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(cookie, "b=2; a=1");
    assert!(cookie.is_sensitive());
}

#[tokio::test]
async fn a_header_of_the_callers_counts_before_the_jar() {
    let jar = Jar::new();
    for cookie in ["a=1", "b=2", "c=3"] {
        jar.add(&uri("http://h.example/"), cookie)
            .expect("a cookie");
    }
    let (client, handle) = setting(&jar, &[]);
    client
        .get("http://h.example/")
        .header("cookie", "z=9; b=8")
        .send()
        .await
        .expect("an answer");
    let mut two = Request::get("http://h.example/")
        .body(Body::empty())
        .expect("a request");
    for value in ["c=7", "a"] {
        two.headers_mut()
            .append(header::COOKIE, HeaderValue::from_static(value));
    }
    tower::ServiceExt::oneshot(client.clone(), two)
        .await
        .expect("an answer");
    client
        .get("http://h.example/")
        .extension(NoCookies)
        .send()
        .await
        .expect("an answer");
    let expected =
        ["z=9; b=8; a=1; c=3", "c=7; a; b=2"].map(|value| Some(HeaderValue::from_static(value)));
    let sent = sent(&handle);
    assert_eq!(sent[..2], expected);
    assert_eq!(sent[2], None);
}

#[tokio::test]
async fn no_cookies_lets_none_be_set() {
    let jar = Jar::new();
    let (client, _handle) = setting(&jar, &["a=1"]);
    client
        .get("http://h.example/")
        .extension(NoCookies)
        .send()
        .await
        .expect("an answer");
    assert!(jar.is_empty());
}

/// Below a redirect layer each hop has its own cookies, and a round that sets one ends.
#[tokio::test]
async fn each_hop_of_a_redirect_sets_and_sends() {
    let login = service_fn(|request: Request<Body>| async move {
        let cookie = request
            .headers()
            .get("cookie")
            .map_or("", |cookie| cookie.to_str().unwrap_or("?"));
        let response = Response::builder();
        let response = match (request.uri().host(), cookie) {
            (Some("a.example"), "seen=1") => response,
            (Some("a.example"), "") => response
                .status(302)
                .header("location", "/")
                .header("set-cookie", "seen=1"),
            other => panic!("{other:?}"),
        };
        response.body(Body::empty()).map_err(BoxError::from)
    });
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .layer(CookieLayer::<Jar>::default())
        .service(login);
    let response = client
        .get("http://a.example/")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
}

/// A store of one's own.
struct Fixed;

impl CookieStore for Fixed {
    fn cookie_header(&self, request: &CookieRequest<'_>) -> Option<HeaderValue> {
        assert!(request.site().is_none());
        HeaderValue::try_from(format!("{}={}", request.method(), request.uri().path())).ok()
    }

    fn set_cookies(&self, _: &CookieRequest<'_>, values: &mut dyn Iterator<Item = &HeaderValue>) {
        assert_eq!(values.count(), 2);
    }
}

#[tokio::test]
async fn any_store_will_do() {
    let two = service_fn(|request: Request<Body>| async move {
        let cookie = request.headers()["cookie"].clone();
        let response = Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2");
        response.body(cookie).map_err(BoxError::from)
    });
    let client = ServiceBuilder::new()
        .layer(CookieLayer::new(Arc::new(Fixed)))
        .service(two);
    let response = client.get("/relative").send().await.expect("an answer");
    assert_eq!(response.into_body(), "GET=/relative");
}

contract! {
    mod cookie_layer {
        layer: |probe| CookieService::new(probe, Jar::new()),
        request: || Request::get("http://h.example/").body(Body::empty()).expect("a request"),
        response: || Response::builder().header("set-cookie", "a=1").body(Body::empty()).expect("a response"),
    }
}
