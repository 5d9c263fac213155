//! The presets, over transports, and where people keep them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{Body, BoxError},
    resilience::{retry::Attempts, stack},
};
use bartizan_testing::{Loopback, refused_addr};
use http::Response;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::Service;

fn hyper_utils_client() -> legacy::Client<HttpConnector, Body> {
    legacy::Client::builder(TokioExecutor::new()).build_http()
}

async fn hello() -> Loopback {
    Loopback::start(|_| async { Response::new(Body::from("hello")) }).await
}

#[tokio::test]
async fn each_goes_over_each_transport_and_into_a_task() {
    let server = hello().await;
    let url = server.uri("/").to_string();
    macro_rules! answers {
        ($client:expr) => {
            let (client, url) = ($client, url.clone());
            let call = tokio::spawn(async move {
                let response = client.clone().get(url).send().await?;
                response.text().await
            });
            let text = call.await.expect("no panic").expect("an answer");
            assert_eq!(text, "hello");
        };
    }
    answers!(stack::client(Transport::new()));
    answers!(stack::client(hyper_utils_client()));
    answers!(stack::ballerina(Transport::new()));
    answers!(stack::ballerina(hyper_utils_client()));
    assert_eq!(server.requests(), 4);
}

/// It has a name, so it has a place in a struct.
#[derive(Clone)]
struct Upstream {
    client: stack::Client<Transport>,
    url: String,
}

#[tokio::test]
async fn it_is_a_state_of_axum() {
    async fn relay(State(upstream): State<Upstream>) -> String {
        let response = upstream.client.get(upstream.url).send().await;
        let text = response.expect("an answer").text().await;
        text.expect("a body")
    }
    let server = hello().await;
    let app: Router = Router::new().route("/", get(relay)).with_state(Upstream {
        client: stack::client(Transport::new()),
        url: server.uri("/").to_string(),
    });
    let response = app.get("/").send().await.expect("a response");
    assert_eq!(response.text().await.expect("a body"), "hello");
}

#[tokio::test]
async fn a_busy_peer_is_asked_again_and_a_refused_order_is_too() {
    let server = Loopback::start(|_| async {
        Response::builder()
            .status(503)
            .body(Body::empty())
            .expect("valid")
    })
    .await;
    let client = stack::client(Transport::new());
    let response = client.get(server.uri("/").to_string()).send().await;
    let response = response.expect("the last of them");
    let attempts = response.extensions().get::<Attempts>();
    assert_eq!(attempts.copied().map(Attempts::count), Some(3));

    // A POST, of which nobody took anything.
    let dead = format!("http://{}/", refused_addr());
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = {
        let (calls, transport) = (calls.clone(), Transport::new());
        tower::service_fn(move |request: http::Request<Body>| {
            calls.fetch_add(1, Ordering::Relaxed);
            transport.clone().call(request)
        })
    };
    let client = stack::client(counting);
    let order = client.post(&dead).text("an order").send().await;
    assert!(order.expect_err("nobody there").is_connect());
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[test]
fn what_is_kept_can_be_shared() {
    fn shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    shareable(&stack::client(Transport::new()));
    shareable(&stack::client(hyper_utils_client()));
    shareable(&stack::ballerina(Transport::new()));
    let boxed = tower::util::BoxCloneSyncService::<_, _, BoxError>::new(stack::client(
        hyper_utils_client(),
    ));
    let _: tower::util::BoxCloneSyncService<http::Request<Body>, _, _> = boxed;
}
