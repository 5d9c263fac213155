//! Every request layer obeys the laws.

use std::net::IpAddr;

use bartizan_core::Body;
use bartizan_listener::{
    caching::{CacheControl, CacheControlLayer, ConditionalLayer},
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    forwarded::{ForwardedLayer, TrustedNetworks},
    host::HostRouter,
    interceptors::{Flow, InterceptorsLayer},
    methods::{AutoOptionsLayer, MethodsLayer},
    negotiation::{ConsumesLayer, ProducesLayer},
    path::CanonicalPathLayer,
    request_id::RequestIdLayer,
};
use bartizan_testing::contract;
use http::{Method, Request, Response};
use tower::Layer;

fn get() -> Request<Body> {
    super::request(
        "GET",
        "http://example.com//a",
        &[("origin", "https://a.example")],
    )
}

fn post() -> Request<Body> {
    let request = Request::post("/").header("content-type", "text/plain");
    request.body(Body::from("text")).expect("a valid request")
}

fn hello() -> Response<Body> {
    Response::new(Body::from("hello"))
}

contract! {
    mod consumes {
        layer: |probe| ConsumesLayer::try_new(["text/*"]).expect("valid").layer(probe),
        request: post,
        response: hello,
    }

    mod produces {
        layer: |probe| ProducesLayer::try_new(["text/html"]).expect("valid").layer(probe),
        request: get,
        response: hello,
    }

    mod canonical_path {
        layer: |probe| CanonicalPathLayer::new().layer(probe),
        request: get,
        response: hello,
    }

    mod cors {
        layer: |probe| CorsLayer::builder().any_origin().build().expect("valid").layer(probe),
        request: get,
        response: hello,
    }

    mod catch_panic {
        layer: |probe| CatchPanicLayer::new().layer(probe),
        request: get,
        response: hello,
    }

    mod request_id {
        layer: |probe| RequestIdLayer::new().layer(probe),
        request: get,
        response: hello,
    }

    mod methods {
        layer: |probe| MethodsLayer::new([Method::GET]).layer(probe),
        request: get,
        response: hello,
    }

    mod auto_options {
        layer: |probe| AutoOptionsLayer::new().layer(probe),
        request: get,
        response: hello,
    }

    mod cache_control {
        layer: |probe| CacheControlLayer::new(CacheControl::no_store()).layer(probe),
        request: get,
        response: hello,
    }

    mod conditional {
        layer: |probe| ConditionalLayer::new().layer(probe),
        request: get,
        response: hello,
    }

    mod conditional_by_hash {
        layer: |probe| ConditionalLayer::new().hash_up_to(100).layer(probe),
        request: get,
        response: hello,
    }

    mod forwarded {
        layer: |probe| {
            let layer = ForwardedLayer::x_forwarded(TrustedNetworks::private());
            layer.peer_from(|_| Some(IpAddr::from([10, 0, 0, 1]))).layer(probe)
        },
        request: get,
        response: hello,
    }

    mod host {
        layer: |probe| HostRouter::builder().host("example.com", probe).build().expect("valid"),
        request: get,
        response: hello,
    }
}

// A chain whose interceptors all wait for the runtime once. The laws call from many tasks, so the futures do have to be `Send`.
contract! {
    mod interceptors {
        layer: |probe| InterceptorsLayer::<Body, Body>::builder()
            .request(|request, _| async {
                tokio::task::yield_now().await;
                Ok(Flow::Next(request))
            })
            .response(|response, _| async { Ok(response) })
            .build()
            .layer(probe),
        request: get,
        response: hello,
    }

    mod interceptors_of_errors {
        layer: |probe| InterceptorsLayer::<Body, Body>::builder()
            .request_error(|failed, _| async { Ok(Flow::Next(failed.into_request())) })
            .request(|request, _| async { Ok(Flow::Next(request)) })
            .build()
            .layer(probe),
        request: get,
        response: hello,
    }
}
