//! A client's transport that answers from a script.

mod answer;
mod glob;
mod route;

use std::{
    error::Error,
    fmt,
    fmt::Write as _,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::watch;
use tower_service::Service;

pub use self::{answer::Answer, route::Route};
use crate::panics;

/// A service in place of a client's transport: answers by routes, and remembers what it was sent. No sockets.
///
/// For tests of what is above a transport: layers, and code that calls other services. Its [`MockHandle`] has the script and the history;
/// it takes a request with any body, which it reads to the end before it looks for a route. The first route that was added and matches
/// answers. Clones share everything. It is always ready; the service that is strict about readiness is [`Probe`](crate::Probe).
///
/// # What fails the test
///
/// A request that no route matches: its call fails with [`Unmatched`], and dropping the handle panics with the same words. So does a
/// route that was not [asked as often as expected](When::expect). Neither, if the thread panics already.
///
/// # Cancellation
///
/// A call that is dropped before its request's body was read is not in the history, and takes no answer. One that is dropped later is,
/// and did.
///
/// # Examples
///
/// A route, a script of three answers, and the history:
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_testing::{Answer, MockTransport, ProbeError, Route};
/// use http::Request;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let (mut transport, mock) = MockTransport::new();
/// mock.on(Route::post("/orders").header("content-type", "text/*")).expect(3).replies([
///     Answer::fail(ProbeError::new("connection refused")),
///     Answer::status(503).header("retry-after", "1"),
///     Answer::new(201, "order 7"),
/// ]);
///
/// let mut statuses = Vec::new();
/// for _ in 0..3 {
///     let request = Request::post("http://shop.example/orders")
///         .header("content-type", "text/plain")
///         .body(Body::from("1 lamp"))?;
///     statuses.push(transport.call(request).await.map(|response| response.status().as_u16()).ok());
/// }
/// assert_eq!(statuses, [None, Some(503), Some(201)]);
/// assert_eq!(mock.requests()[2].body(), "1 lamp");
/// # Ok(()) }
/// ```
///
/// An answer made from the request, and one that takes its time, which is paused here:
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_testing::{Answer, MockTransport, Route};
/// use http::Request;
/// use http_body_util::BodyExt;
/// use std::time::Duration;
/// use tokio::time::timeout;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
/// let (mut transport, mock) = MockTransport::new();
/// mock.on(Route::get("/slow")).reply(Answer::status(200).after(Duration::from_secs(60)));
/// mock.on(Route::get("/users/*"))
///     .reply_with(|request| Answer::new(200, format!("you asked for {}", request.uri().path())));
///
/// let get = |path: &str| Request::get(path).body(Body::empty());
/// assert!(timeout(Duration::from_secs(30), transport.call(get("/slow")?)).await.is_err());
/// let body = transport.call(get("/users/7")?).await?.into_body().collect().await?;
/// assert_eq!(body.to_bytes(), "you asked for /users/7");
/// # Ok(()) }
/// ```
///
/// A request that nobody thought of:
///
/// ```should_panic
/// use bartizan_core::{Body, BoxError, find};
/// use bartizan_testing::{Answer, MockTransport, Route, Unmatched};
/// use http::Request;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (mut transport, mock) = MockTransport::new();
/// mock.on(Route::get("/users")).reply(Answer::status(200));
///
/// let request = Request::get("/user").body(Body::empty()).unwrap();
/// let error = transport.call(request).await.unwrap_err();
/// assert!(find::<Unmatched>(&*error).is_some());
/// drop(mock); // panics: "no route for GET /user … GET /users: the path is /user, not /users"
/// # }
/// ```
#[derive(Clone)]
pub struct MockTransport {
    shared: Arc<Shared>,
}

/// The script and the history of a [`MockTransport`]. Dropping it verifies both.
pub struct MockHandle {
    shared: Arc<Shared>,
}

/// A route that is being added: it is when it has its answer.
#[must_use = "a route is added by `reply`, `replies` or `reply_with`"]
#[derive(Debug)]
pub struct When<'a> {
    mock: &'a MockHandle,
    route: Route,
    expected: Option<usize>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    received: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    history: Vec<Request<Bytes>>,
    unmatched: Vec<Unmatched>,
}

struct Entry {
    route: Route,
    reply: Reply,
    expected: Option<usize>,
    calls: usize,
}

#[derive(Clone)]
enum Reply {
    Script(Arc<[Answer]>),
    With(Arc<MakeAnswer>),
}

type MakeAnswer = dyn Fn(&Request<Bytes>) -> Answer + Send + Sync;

impl MockTransport {
    /// A transport without routes, and its handle.
    pub fn new() -> (Self, MockHandle) {
        let shared = Arc::<Shared>::default();
        let transport = Self {
            shared: shared.clone(),
        };
        (transport, MockHandle { shared })
    }
}

impl<B> Service<Request<B>> for MockTransport
where
    B: http_body::Body<Data: Send> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = MockFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> MockFuture {
        let shared = self.shared.clone();
        MockFuture(Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            let request = Request::from_parts(head, body);
            let answer = shared.receive(&request)?;
            answer.play().await
        }))
    }
}

impl Shared {
    /// Remembers the request, and finds its answer.
    fn receive(&self, request: &Request<Bytes>) -> Result<Answer, Unmatched> {
        let found = {
            // A predicate is the test's own code, and may look at the mock: it is not run under the lock.
            let routes: Vec<Route> = panics::lock(&self.state)
                .entries
                .iter()
                .map(|entry| entry.route.clone())
                .collect();
            let mut mismatches = Vec::new();
            let found = routes
                .iter()
                .position(|route| match route.mismatch(request) {
                    None => true,
                    Some(why) => {
                        mismatches.push((route.to_string(), why));
                        false
                    }
                });
            found.ok_or(mismatches)
        };
        let answered = {
            let mut state = panics::lock(&self.state);
            let answered = match found {
                Ok(index) => {
                    let entry = &mut state.entries[index];
                    entry.calls += 1;
                    Ok((entry.reply.clone(), entry.calls - 1))
                }
                Err(mismatches) => {
                    let unmatched = Unmatched::new(request, mismatches);
                    state.unmatched.push(unmatched.clone());
                    Err(unmatched)
                }
            };
            state.history.push(request.clone());
            answered
        };
        self.received.send_modify(|received| *received += 1);
        let (reply, nth) = answered?;
        Ok(match reply {
            Reply::Script(answers) => answers[nth.min(answers.len() - 1)].clone(),
            Reply::With(answer) => answer(request),
        })
    }
}

impl MockHandle {
    /// Adds a route, after those that are there.
    pub const fn on(&self, route: Route) -> When<'_> {
        When {
            mock: self,
            route,
            expected: None,
        }
    }

    /// The requests received, in the order in which their bodies ended. Those that no route matched, too.
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        panics::lock(&self.shared.state).history.clone()
    }

    /// Waits until at least that many requests were received, woken by each: for calls in tasks of their own. It looks at once, and
    /// dropping it changes nothing.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the sender cannot be gone while `self` holds it"
    )]
    pub async fn until_received(&self, requests: usize) {
        let mut received = self.shared.received.subscribe();
        received
            .wait_for(|received| *received >= requests)
            .await
            .expect("the handle holds the sender");
    }

    /// Forgives the requests that no route has matched so far, for a test of what becomes of such a call. Answers what they were.
    pub fn take_unmatched(&self) -> Vec<Unmatched> {
        std::mem::take(&mut panics::lock(&self.shared.state).unmatched)
    }

    /// Panics unless every route was asked as often as expected, and every request had a route. Dropping the handle does the same.
    ///
    /// # Panics
    ///
    /// That is what it is for. The message says what came instead.
    #[track_caller]
    pub fn verify(&self) {
        let state = panics::lock(&self.shared.state);
        let Some(complaint) = state.complaint() else {
            return;
        };
        // A panic under the lock would only be harder to read.
        drop(state);
        panic!("{complaint}");
    }
}

impl State {
    fn complaint(&self) -> Option<String> {
        let mut complaint = String::new();
        for entry in &self.entries {
            if let Some(expected) = entry.expected.filter(|&expected| expected != entry.calls) {
                let _ = writeln!(
                    complaint,
                    "{}: expected {expected} requests, received {}",
                    entry.route, entry.calls
                );
            }
        }
        for unmatched in &self.unmatched {
            let _ = writeln!(complaint, "{unmatched}");
        }
        if complaint.is_empty() {
            return None;
        }
        let _ = write!(complaint, "all requests received:");
        for request in &self.history {
            let _ = write!(complaint, "\n  {} {}", request.method(), request.uri());
        }
        if self.history.is_empty() {
            complaint.push_str(" none");
        }
        Some(complaint)
    }
}

impl Drop for MockHandle {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.verify();
        }
    }
}

impl When<'_> {
    /// Has the handle's drop panic unless exactly so many requests came this way: 0 for a route that must not be taken. Otherwise any
    /// number will do.
    pub const fn expect(mut self, requests: usize) -> Self {
        self.expected = Some(requests);
        self
    }

    /// Answers every request with `answer`.
    pub fn reply(self, answer: Answer) {
        self.replies([answer]);
    }

    /// Answers the first request with the first answer, and so on. The last answer is repeated.
    ///
    /// # Panics
    ///
    /// If there are no answers.
    pub fn replies(self, answers: impl IntoIterator<Item = Answer>) {
        let answers: Arc<[Answer]> = answers.into_iter().collect();
        assert!(!answers.is_empty(), "{} has no answers", self.route);
        self.add(Reply::Script(answers));
    }

    /// Answers every request with what the closure makes of it.
    pub fn reply_with(self, answer: impl Fn(&Request<Bytes>) -> Answer + Send + Sync + 'static) {
        self.add(Reply::With(Arc::new(answer)));
    }

    fn add(self, reply: Reply) {
        panics::lock(&self.mock.shared.state).entries.push(Entry {
            route: self.route,
            reply,
            expected: self.expected,
            calls: 0,
        });
    }
}

/// No route of a [`MockTransport`] matches the request. Its message says, for each, why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    request: String,
    /// Each route, and what about the request was not as it has to be.
    routes: Vec<(String, String)>,
}

impl Unmatched {
    fn new(request: &Request<Bytes>, routes: Vec<(String, String)>) -> Self {
        Self {
            request: format!("{} {}", request.method(), request.uri()),
            routes,
        }
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no route for {}", self.request)?;
        if self.routes.is_empty() {
            return write!(f, ": the mock transport has none, see `MockHandle::on`");
        }
        for (route, why) in &self.routes {
            write!(f, "\n  {route}: {why}")?;
        }
        Ok(())
    }
}

impl Error for Unmatched {}

/// The response future of a [`MockTransport`].
#[must_use = "futures do nothing unless polled"]
pub struct MockFuture(Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>);

impl Future for MockFuture {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for MockTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockTransport").finish_non_exhaustive()
    }
}

impl fmt::Debug for MockHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockHandle")
            .field("received", &*self.shared.received.borrow())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MockFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockFuture").finish_non_exhaustive()
    }
}
