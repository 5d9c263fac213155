//! Answers challenges over plain HTTP (RFC 8555 section 8.3).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Challenges;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers a CA's challenges of the kind [`Http01`](super::Challenge::Http01), and passes everything else on.
///
/// # Placement
///
/// Outermost, in what listens on port 80: above redirects to `https`, above whatever asks who the client is. The CA comes by plain HTTP, from
/// anywhere, and says nothing about itself.
///
/// # State
///
/// The answers are the [`Challenges`]'; all services of all layers share them.
///
/// # Readiness and cancellation
///
/// It is ready when the inner service is, which is not called for a challenge; dropping the future drops the inner one.
///
/// # Errors
///
/// None of its own. A path that no open challenge has is passed on: somebody else may be challenged on the same machine.
///
/// # Differences from a folder that a web server shows
///
/// An answer is there for as long as its challenge is open, and nobody has to write a file where the whole world can read.
///
/// # Examples
///
/// What is no challenge goes to the service:
///
/// ```
/// # #[cfg(feature = "aws-lc")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bartizan_core::Body;
/// use bartizan_tls::acme::{Challenges, Http01Layer};
/// use http::{Request, Response, StatusCode};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let to_https = service_fn(|request: Request<Body>| async move {
///     let response = Response::builder()
///         .status(StatusCode::PERMANENT_REDIRECT)
///         .header("location", format!("https://shop.test{}", request.uri().path()))
///         .body(Body::default())
///         .expect("a sound response");
///     Ok::<_, std::convert::Infallible>(response)
/// });
/// // In earnest, they are those of `Acme::challenges`.
/// let service = Http01Layer::new(Challenges::default()).layer(to_https);
/// let request = Request::builder().uri("/cart").body(Body::default()).unwrap();
/// let response = service.oneshot(request).await.unwrap();
/// assert_eq!(response.headers()["location"], "https://shop.test/cart");
/// # }
/// # #[cfg(not(feature = "aws-lc"))]
/// # fn main() {}
/// ```
///
/// Nor does it answer for challenges that are not open:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bartizan_core::Body;
/// use bartizan_tls::acme::{Challenges, Http01Layer};
/// use http::{Request, Response, StatusCode};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let not_found = service_fn(|_: Request<Body>| async {
///     let mut response = Response::new(Body::default());
///     *response.status_mut() = StatusCode::NOT_FOUND;
///     Ok::<_, std::convert::Infallible>(response)
/// });
/// let service = Http01Layer::new(Challenges::default()).layer(not_found);
/// let request = Request::builder().uri("/.well-known/acme-challenge/old").body(Body::default()).unwrap();
/// assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Http01Layer {
    challenges: Challenges,
}

impl Http01Layer {
    /// A layer that answers these challenges.
    pub const fn new(challenges: Challenges) -> Self {
        Self { challenges }
    }
}

impl<S> Layer<S> for Http01Layer {
    type Service = Http01<S>;

    fn layer(&self, inner: S) -> Http01<S> {
        Http01 {
            inner,
            challenges: self.challenges.clone(),
        }
    }
}

/// Answers challenges before its inner service sees them. See [`Http01Layer`].
#[derive(Clone, Debug)]
pub struct Http01<S> {
    inner: S,
    challenges: Challenges,
}

impl<S, B, RB> Service<Request<B>> for Http01<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = Http01Future<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = request
            .uri()
            .path()
            .strip_prefix(PREFIX)
            .filter(|_| matches!(*request.method(), Method::GET | Method::HEAD))
            .and_then(|token| self.challenges.file(token));
        Http01Future {
            state: match answer {
                Some(answer) => State::Answered {
                    answer: Some(answer),
                },
                None => State::Passed {
                    future: self.inner.call(request),
                },
            },
        }
    }
}

pin_project! {
    /// The future of [`Http01`].
    #[derive(Debug)]
    pub struct Http01Future<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Answered { answer: Option<String> },
        Passed { #[pin] future: F },
    }
}

impl<F, RB, E> Future for Http01Future<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProj::Passed { future } => future.poll(cx),
            StateProj::Answered { answer } => {
                let answer = answer.take().expect("polled after it was ready");
                let mut response = Response::new(RB::from(Bytes::from(answer)));
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                );
                Poll::Ready(Ok(response))
            }
        }
    }
}
