//! Code that runs before and after a service, in a chain, with errors that look for somebody to handle them.
//!
//! [`InterceptorsLayer`] holds interceptors of four kinds, in one order, from the head, which is nearest to the client, to the tail:
//!
//! - A *request* interceptor sees the request on its way in. It passes one on, answers, or fails.
//! - A *request-error* interceptor sees what failed on the way in. It can go on with the request, answer, or fail again.
//! - A *response* interceptor sees the response on its way out, and may change it or fail.
//! - A *response-error* interceptor sees an error on its way out, and makes a response of it, or fails again.
//!
//! # The order
//!
//! Requests run from head to tail, responses from tail to head:
//!
//! | what happens at place *i* | what runs next |
//! |---|---|
//! | a request is passed on | the next request interceptor after *i*, at last the service |
//! | [`Flow::Respond`] | the response interceptors before *i*, from the nearest |
//! | an error on the way in | the nearest request-error interceptor after *i*; if there is none, the nearest response-error one before *i* |
//! | the service answers | all response interceptors, from the tail |
//! | the service fails | the nearest response-error interceptor, from the tail |
//! | an error on the way out | the nearest response-error interceptor before *i* |
//! | an error has become a response | the response interceptors before that place |
//!
//! An interceptor that is of another kind than what passes is passed over. None runs twice for one request.
//!
//! # The context
//!
//! A [`RequestContext`] travels along: values by their type, for all interceptors of the request, and for the service, which finds it
//! in the request's extensions. A chain below another one, as that of a route below that of all, shares its context.
//!
//! # Placement
//!
//! Where its code belongs: the layers above see what it makes of requests and responses. Per route in axum, by `route_layer`.
//!
//! # State
//!
//! The chain, which clones share. What interceptors share among themselves they capture.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's; the instance that was made ready is the one that is called, or dropped where an interceptor
//! answers. Dropping the future drops whatever runs at that time: no interceptor after it runs, so what has to happen in any case
//! belongs in a guard. Each call costs one allocation for the chain, and one for each interceptor that runs. Request interceptors that have a
//! request-error interceptor after them also cost a copy of the request's head each, since an error takes the request with it.
//!
//! # Errors
//!
//! An error of the service goes on as it is, where the chain has no response-error interceptor. An interceptor's own error that none
//! takes, and one of the service that all of them gave back, becomes a 500 with problem details; it is logged once, and not told to the
//! client. With a [`Rejection`](bartizan_core::Rejection) or an [`ExtractError`](crate::extract::ExtractError) in it, it becomes the
//! response of that. So a service that cannot fail still cannot.
//!
//! # Differences from Ballerina and `axum::middleware`
//!
//! The kinds, the order and the short-circuit are those of Ballerina's interceptor pipelines. There, an error that nobody takes is always
//! a 500. `axum::middleware::from_fn` wraps what is below it in one function, which is simpler where one function has to see both ways.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::interceptors::{Flow, InterceptorsLayer, RequestContext};
//! use http::{Request, Response, StatusCode};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! struct Tenant(String);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chain = InterceptorsLayer::builder()
//!     .request(|request: Request<Body>, context: RequestContext| async move {
//!         let Some(tenant) = request.headers().get("tenant") else {
//!             let mut response = Response::new(Body::from("which tenant?"));
//!             *response.status_mut() = StatusCode::BAD_REQUEST;
//!             return Ok(Flow::Respond(response));
//!         };
//!         context.insert(Tenant(tenant.to_str()?.to_owned()));
//!         Ok(Flow::Next(request))
//!     })
//!     .build();
//! let service = ServiceBuilder::new().layer(chain).service_fn(|request: Request<Body>| async move {
//!     let context = request.extensions().get::<RequestContext>().unwrap();
//!     let tenant = context.get::<Tenant>().unwrap();
//!     Ok::<_, Infallible>(Response::new(Body::from(format!("hello, {}", tenant.0))))
//! });
//!
//! let request = Request::get("/").header("tenant", "acme").body(Body::empty())?;
//! assert_eq!(service.clone().oneshot(request).await?.body().whole().unwrap(), "hello, acme");
//! let request = Request::get("/").body(Body::empty())?;
//! assert_eq!(service.oneshot(request).await?.status(), 400);
//! # Ok(())
//! # }
//! ```
//!
//! Errors of a service become responses:
//!
//! ```
//! use bartizan_core::{Body, BoxError, problem};
//! use bartizan_listener::interceptors::InterceptorsLayer;
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let chain = InterceptorsLayer::builder()
//!     .response(|mut response: Response<Body>, _| async move {
//!         response.headers_mut().insert("x-checked", "yes".parse()?);
//!         Ok(response)
//!     })
//!     .response_error(|error, _| async move {
//!         if error.is::<std::io::Error>() { Ok(problem(StatusCode::BAD_GATEWAY, "ask again later")) } else { Err(error) }
//!     })
//!     .build();
//! let service = ServiceBuilder::new().layer(chain).service_fn(|_: Request<Body>| async {
//!     Err::<Response<Body>, BoxError>(std::io::Error::other("the disk is full").into())
//! });
//!
//! let response = service.oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(response.status(), 502);
//! assert_eq!(response.headers()["x-checked"], "yes", "it stands before, so it sees the response");
//! # Ok(())
//! # }
//! ```

mod chain;
mod context;
mod layer;

pub use self::{
    chain::{Failed, Flow},
    context::RequestContext,
    layer::{Builder, Interceptors, InterceptorsLayer, ResponseFuture},
};
