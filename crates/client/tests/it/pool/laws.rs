//! The laws of every layer, for a service that is no layer: the pool stands between its callers and two others.
//!
//! What answers is at the far end of a wire, which carries no error of a handler; what connects is never called again where a connection
//! is there. So each is the inner service of a law for as much of it as it can be, and every law is kept by one of them at least.

use std::task::{Context, Poll};

use bartizan_client::{
    Error, Protocol, ResponseBody,
    connect::Destination,
    pool::{OriginService, Pool, PoolFuture},
};
use bartizan_core::Body;
use bartizan_testing::{
    Probe,
    laws::{self, Subject, subject},
};
use http::{Request, Response, StatusCode, Uri};
use tokio::io::DuplexStream;
use tower::{Service, ServiceExt};

use super::{Pipes, get, serve};

type Handler = Probe<Request<Body>, Response<Body>>;

/// A pool whose every peer has `handler` answer.
fn over_the_wire(protocol: Protocol, most: usize, handler: Handler) -> Pool {
    let pipes = Pipes::new(move |stream: DuplexStream| {
        let handler = handler.clone();
        serve(stream, move |request| {
            let handler = handler.clone();
            async move {
                handler.oneshot(request).await.unwrap_or_else(|_| {
                    let mut failed = Response::new(Body::empty());
                    *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    failed
                })
            }
        })
    });
    let builder = Pool::builder()
        .protocol(protocol)
        .max_connections(most)
        .http2_max_streams(most);
    builder.build(pipes).expect("valid")
}

/// All of them but that of errors, which no wire carries.
fn hold_to_the_laws(subject: &impl Subject) {
    laws::a_good_call_gets_through(subject);
    laws::readiness_is_honoured(subject);
    laws::a_pending_inner_service_is_waited_for(subject);
    laws::it_never_wakes_itself(subject);
    laws::clones_start_unready(subject);
    laws::unused_readiness_is_given_back(subject);
    laws::dropped_futures_leak_nothing(subject);
    laws::calls_outlive_their_service(subject);
}

fn answer() -> Response<Body> {
    Response::new(Body::from("hello"))
}

#[test]
fn the_pool_keeps_the_laws_over_the_wire() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        // With room for all, and with so little that leaks show.
        for most in [100, 2] {
            let pool = move |handler| over_the_wire(protocol, most, handler);
            hold_to_the_laws(&subject(|| get("http://h/"), answer, pool));
        }
    }
}

#[test]
fn the_service_of_an_origin_keeps_the_laws_over_the_wire() {
    let origin = |protocol, most, handler| -> OriginService {
        let uri = Uri::from_static("http://h/");
        let pool = over_the_wire(protocol, most, handler);
        pool.origin(Destination::of(&uri).expect("an origin"))
    };
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for most in [100, 2] {
            let origin = move |handler| origin(protocol, most, handler);
            hold_to_the_laws(&subject(|| get("http://h/"), answer, origin));
        }
    }
}

/// A pool as a service of its connector's requests.
#[derive(Clone)]
struct Connecting(Pool);

impl Service<Destination> for Connecting {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = PoolFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, to: Destination) -> PoolFuture {
        self.0.call(get(to.to_string()))
    }
}

/// All of them but that of dropped futures: a connection that was begun is finished, and kept for the next request.
#[test]
fn the_pool_keeps_the_laws_of_its_connector() {
    let there = || Destination::of(&Uri::from_static("http://h/")).expect("an origin");
    let connection = || {
        let (ours, theirs) = tokio::io::duplex(1024);
        tokio::spawn(serve(theirs, |_| async { answer() }));
        ours
    };
    // Used once each, so that each call is one of the connector's.
    let pool = |connector: Probe<Destination, DuplexStream>| {
        let builder = Pool::builder().max_requests(1);
        Connecting(builder.build(connector).expect("valid"))
    };
    let subject = &subject(there, connection, pool);
    laws::a_good_call_gets_through(subject);
    laws::readiness_is_honoured(subject);
    laws::a_pending_inner_service_is_waited_for(subject);
    laws::it_never_wakes_itself(subject);
    laws::clones_start_unready(subject);
    laws::unused_readiness_is_given_back(subject);
    laws::errors_keep_their_source(subject);
    laws::calls_outlive_their_service(subject);
}
