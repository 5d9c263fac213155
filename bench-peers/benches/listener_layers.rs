//! What each of the listener's request layers adds to a request, in nanoseconds: `cargo bench --bench listener_layers`.
//!
//! Over a service that is ready and answers at once, polled by hand. The same `GET` is made anew for every call, as it comes from a
//! listener, and what that costs is taken off. The layers take turns in every round, and the figure is the median of what each took
//! longer than nothing in its round.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    net::IpAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bartizan_bench_peers::median;
use bartizan_core::Body;
use bartizan_listener::{
    Address, ConnectInfo,
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
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header::CONTENT_TYPE};
use tower::{Layer, Service};

const ROUNDS: usize = 31;
/// Of one layer in one round: a round takes a third of a second.
const LASTS: Duration = Duration::from_millis(20);
/// Between looks at the clock.
const CALLS: u32 = 100;

/// Answers at once.
#[derive(Clone)]
struct Hello;

impl Service<Request<Body>> for Hello {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        black_box(&request);
        let mut response = Response::new(Body::from(Bytes::from_static(b"hello")));
        let plain = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        ready(Ok(response))
    }
}

/// One request through a layer.
type Call = Box<dyn FnMut()>;

fn main() {
    let mut layers = layers();
    let mut rounds: Vec<Vec<f64>> = layers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((_, call), times) in layers.iter_mut().zip(&mut rounds) {
            times.push(time(call));
        }
    }
    println!("| layer | ns per request |");
    println!("|---|---|");
    for ((name, _), times) in layers.iter().zip(&rounds).skip(1) {
        let more = times.iter().zip(&rounds[0]);
        println!(
            "| {name} | {:.0} |",
            median(more.map(|(it, nothing)| it - nothing))
        );
    }
    println!(
        "\nThe request itself: {:.0} ns.",
        median(rounds.swap_remove(0))
    );
}

/// Nanoseconds per call.
fn time(call: &mut Call) -> f64 {
    let start = Instant::now();
    let mut calls = 0;
    loop {
        for _ in 0..CALLS {
            call();
        }
        calls += CALLS;
        let elapsed = start.elapsed();
        if elapsed > LASTS {
            return elapsed.as_secs_f64() * 1e9 / f64::from(calls);
        }
    }
}

fn layers() -> Vec<(&'static str, Call)> {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let trusted = TrustedNetworks::try_new(["10.0.0.0/8"]).expect("a network");
    let cors = CorsLayer::builder().origins(["https://app.example.com"]);
    let cache_control = CacheControl::new()
        .public()
        .max_age(Duration::from_secs(60));
    let json = ["application/json", "text/plain"];
    let request =
        InterceptorsLayer::builder().request(|request, _| async { Ok(Flow::Next(request)) });
    let hosts = HostRouter::builder()
        .host("example.com", Hello)
        .host("*.example.org", Hello);
    vec![
        ("nothing", calls(Hello)),
        ("catch panic", calls(CatchPanicLayer::new().layer(Hello))),
        ("request id", calls(RequestIdLayer::new().layer(Hello))),
        (
            "forwarded, from a trusted proxy",
            calls(
                ForwardedLayer::x_forwarded(trusted)
                    .peer_from(move |_| Some(proxy))
                    .layer(Hello),
            ),
        ),
        (
            "canonical path",
            calls(CanonicalPathLayer::new().layer(Hello)),
        ),
        ("hosts", calls(hosts.build().expect("two hosts"))),
        (
            "CORS, from another origin",
            calls(cors.build().expect("an origin").layer(Hello)),
        ),
        (
            "methods",
            calls(MethodsLayer::new([Method::GET]).layer(Hello)),
        ),
        (
            "automatic OPTIONS",
            calls(AutoOptionsLayer::new().layer(Hello)),
        ),
        (
            "consumes",
            calls(ConsumesLayer::try_new(json).expect("types").layer(Hello)),
        ),
        (
            "produces",
            calls(ProducesLayer::try_new(json).expect("types").layer(Hello)),
        ),
        (
            "Cache-Control",
            calls(CacheControlLayer::new(cache_control).layer(Hello)),
        ),
        (
            "conditional, hashing 5 bytes",
            calls(ConditionalLayer::new().hash_up_to(65_536).layer(Hello)),
        ),
        (
            "one request interceptor",
            calls(request.build().layer(Hello)),
        ),
    ]
}

fn calls<S, RB>(mut service: S) -> Call
where
    S: Service<Request<Body>, Response = Response<RB>> + 'static,
{
    let info = ConnectInfo::new(Address::Memory, Address::Memory);
    let uri = Uri::from_static("/orders/17?expand=lines");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("user-agent", "bench"),
        ("accept", "application/json, text/*;q=0.5"),
        ("origin", "https://app.example.com"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
    ] {
        headers.insert(name, value.parse().expect("a value"));
    }
    Box::new(move || {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        request.headers_mut().clone_from(&headers);
        request.extensions_mut().insert(info.clone());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let polled = pin!(service.call(request)).poll(&mut cx);
        assert!(black_box(polled).is_ready());
    })
}
