//! Who runs after whom.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{Extension, Router, routing::get};
use bartizan_core::{Body, BoxError, Rejection, RejectionKind, find};
use bartizan_listener::{
    extract::Violations,
    interceptors::{Flow, InterceptorsLayer, RequestContext},
};
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};

use super::{axum, request, text};

/// What the interceptors of a table's row do, one character each: in capitals those that fail or answer.
///
/// | | request | request-error | response | response-error |
/// |---|---|---|---|---|
/// | passes | `q` | `e` (goes on) | `s` | `r` (makes a response) |
/// | fails | `Q` | `E` | `S` | `R` |
/// | answers | `A` | `B` | | |
///
/// `F` is a request interceptor that fails and gives the request back.
fn chain(kinds: &str, trace: &Trace) -> InterceptorsLayer {
    let mut builder = InterceptorsLayer::<Body, Body>::builder();
    for (place, kind) in kinds.chars().enumerate() {
        let trace = trace.clone();
        let note = move || trace.note(&format!("{kind}{place}"));
        builder = match kind {
            'q' | 'Q' | 'A' | 'F' => builder.request(move |request, _| {
                note();
                async move {
                    match kind {
                        'q' => Ok(Flow::Next(request)),
                        'A' => Ok(Flow::Respond(Response::new(Body::from("early")))),
                        'F' => Ok(Flow::Fail(request, "given back".into())),
                        _ => Err("refused".into()),
                    }
                }
            }),
            'e' | 'E' | 'B' => builder.request_error(move |failed, _| {
                note();
                async move {
                    match kind {
                        'e' => Ok(Flow::Next(failed.into_request())),
                        'B' => Ok(Flow::Respond(Response::new(Body::from("mended")))),
                        _ => Err(failed.error),
                    }
                }
            }),
            's' | 'S' => builder.response(move |response, _| {
                note();
                async move {
                    if kind == 's' {
                        Ok(response)
                    } else {
                        Err("spoiled".into())
                    }
                }
            }),
            _ => builder.response_error(move |error, _| {
                note();
                async move {
                    if kind == 'r' {
                        Ok(Response::new(Body::from(error.to_string())))
                    } else {
                        Err(error)
                    }
                }
            }),
        };
    }
    builder.build()
}

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, what: &str) {
        self.0.lock().expect("no panic").push(what.to_owned());
    }

    fn taken(&self) -> String {
        std::mem::take(&mut *self.0.lock().expect("no panic")).join(" ")
    }
}

async fn run(kinds: &str, service_fails: bool) -> (String, Result<(u16, String), BoxError>) {
    let trace = Trace::default();
    let noted = trace.clone();
    let service = service_fn(move |request: Request<Body>| {
        noted.note("service");
        async move {
            if service_fails {
                Err::<Response<Body>, BoxError>("the service failed".into())
            } else {
                Ok(Response::new(request.into_body()))
            }
        }
    });
    let service = chain(kinds, &trace).layer(service);
    let request = Request::post("/").body(Body::from("sent")).expect("valid");
    let answered = match service.oneshot(request).await {
        Ok(response) => Ok((response.status().as_u16(), text(response).await)),
        Err(error) => Err(error),
    };
    (trace.taken(), answered)
}

#[tokio::test]
async fn every_path() {
    const FAULT: &str = r#"{"title":"Internal Server Error","status":500,"detail":"the request could not be handled"}"#;
    for (kinds, expected, status, body) in [
        ("", "service", 200, "sent"),
        // Requests from head to tail, responses from tail to head.
        ("qq", "q0 q1 service", 200, "sent"),
        ("ss", "service s1 s0", 200, "sent"),
        ("qsqs", "q0 q2 service s3 s1", 200, "sent"),
        // Error interceptors are passed over where there is no error.
        ("qersr", "q0 service s3", 200, "sent"),
        // Answering early runs only the response interceptors before.
        ("sAsq", "A1 s0", 200, "early"),
        ("sqAs", "q1 A2 s0", 200, "early"),
        // An error jumps to the nearest request-error interceptor after it, over what is between.
        ("qQqse", "q0 Q1 e4 service s3", 200, ""),
        ("qFqse", "q0 F1 e4 service s3", 200, "sent"),
        ("QeQe", "Q0 e1 Q2 e3 service", 200, ""),
        ("QEe", "Q0 E1 e2 service", 200, ""),
        ("sQBqs", "Q1 B2 s0", 200, "mended"),
        // One before it is of no use.
        ("eQ", "Q1", 500, FAULT),
        // Without one, to the nearest response-error interceptor before it.
        ("rsQrs", "Q2 r0", 200, "refused"),
        ("srQ", "Q2 r1 s0", 200, "refused"),
        ("srQE", "Q2 E3 r1 s0", 200, "refused"),
        ("srF", "F2 r1 s0", 200, "given back"),
        ("sRQ", "Q2 R1", 500, FAULT),
        ("rRQ", "Q2 R1 r0", 200, "refused"),
        ("Qr", "Q0", 500, FAULT),
        // An error on the way out goes to the nearest before it.
        ("srSs", "service s3 S2 r1 s0", 200, "spoiled"),
        ("sSr", "service S1", 500, FAULT),
        ("srSr", "service S2 r1 s0", 200, "spoiled"),
    ] {
        let (trace, answered) = run(kinds, false).await;
        assert_eq!(trace, expected, "{kinds}");
        let answered = answered.expect("a response");
        assert_eq!(answered, (status, body.to_owned()), "{kinds}");
    }
}

#[tokio::test]
async fn a_service_that_fails() {
    for (kinds, expected, body) in [
        ("srs", "service r1 s0", "the service failed"),
        ("rrs", "service r1", "the service failed"),
        ("rRs", "service R1 r0", "the service failed"),
    ] {
        let (trace, answered) = run(kinds, true).await;
        assert_eq!(trace, expected, "{kinds}");
        assert_eq!(answered.expect("a response").1, body, "{kinds}");
    }
    let (trace, answered) = run("qse", true).await;
    assert_eq!(trace, "q0 service");
    assert_eq!(
        answered.expect_err("nobody took it").to_string(),
        "the service failed"
    );
    let (_, answered) = run("R", true).await;
    assert_eq!(
        answered.expect("a response").0,
        500,
        "somebody took it, and failed"
    );
}

#[tokio::test]
async fn an_error_that_has_a_response_and_nobody_takes_is_that_response() {
    let chain = InterceptorsLayer::<Body, Body>::builder()
        .request(|request, _| async move {
            if request.uri().path() == "/limited" {
                return Err(Rejection::new(RejectionKind::Limited, "test").into());
            }
            let mut violations = Violations::new();
            violations.add("/a", "is wrong");
            violations.into_result()?;
            unreachable!("there is one");
        })
        .build();
    let never =
        service_fn(|_: Request<Body>| async { Err::<Response<Body>, BoxError>("called".into()) });
    for (path, status) in [("/limited", 429), ("/", 422)] {
        let service = chain.layer(never);
        let response = service.oneshot(request("GET", path, &[])).await;
        assert_eq!(response.expect("a response").status(), status);
    }
}

#[tokio::test]
async fn a_chain_below_another_shares_its_context() {
    let outer = InterceptorsLayer::<Body, Body>::builder()
        .request(|request, context| async move {
            context.insert("from further out");
            Ok(Flow::Next(request))
        })
        .build();
    let inner = InterceptorsLayer::<Body, Body>::builder()
        .request(|_, context| async move {
            let said = *context.get::<&str>().expect("the outer chain's");
            Ok(Flow::Respond(Response::new(Body::from(said))))
        })
        .build();
    let service = outer.layer(inner.layer(super::echo()));
    let response = service
        .oneshot(request("GET", "/", &[]))
        .await
        .expect("infallible");
    assert_eq!(text(response).await, "from further out");
}

#[tokio::test]
async fn what_failed_keeps_its_head_and_its_error() {
    let chain = InterceptorsLayer::<Body, Body>::builder()
        .request(|_, _| async { Err(std::io::Error::other("the reason").into()) })
        .request_error(|failed, _| async move {
            assert!(find::<std::io::Error>(&*failed.error).is_some());
            assert_eq!(failed.head.uri, "/path");
            assert_eq!(failed.head.headers["name"], "value");
            assert!(failed.head.extensions.get::<RequestContext>().is_some());
            assert!(failed.body.is_none());
            Ok(Flow::Next(failed.into_request()))
        })
        .build();
    let service = chain.layer(super::echo());
    let response = service
        .oneshot(request("GET", "/path", &[("name", "value")]))
        .await;
    assert_eq!(text(response.expect("infallible")).await, "/path");
}

#[tokio::test]
async fn the_context_travels_both_ways_and_never_between_requests() {
    #[derive(Debug, PartialEq)]
    struct Count(u32);

    let chain = InterceptorsLayer::<axum::body::Body, axum::body::Body>::builder()
        .request(|request, context| async move {
            assert!(context.get::<Count>().is_none());
            context.insert(Count(1));
            Ok(Flow::Next(request))
        })
        .response(|mut response, context| async move {
            let count = context.remove::<Count>().expect("the handler's");
            response.headers_mut().insert("count", count.0.into());
            Ok(response)
        })
        .build();
    async fn handler(Extension(context): Extension<RequestContext>) -> StatusCode {
        let Count(n) = *context.get::<Count>().expect("the interceptor's");
        context.insert(Count(n + 1));
        StatusCode::ACCEPTED
    }
    let router: Router = Router::new().route("/", get(handler)).route_layer(chain);
    for _ in 0..2 {
        let response = router.clone().oneshot(axum(request("GET", "/", &[]))).await;
        let response = response.unwrap_or_else(|never: Infallible| match never {});
        assert_eq!(response.headers()["count"], "2");
    }
}
