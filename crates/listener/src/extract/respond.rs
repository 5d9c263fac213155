//! Responses by their types.

use bartizan_core::Body;
#[cfg(any(feature = "json", feature = "xml"))]
use bartizan_core::{BoxError, problem};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::ExtractError;

/// What can be answered with: the counterpart of [`FromBody`](super::FromBody) for plain tower services. With the feature `axum`, all
/// types here that have it are `IntoResponse`, too.
///
/// A handler of several outcomes says so by its type. Two of them are a `Result` or an [`Either`]; for more, an enum of your own is
/// clearer, and needs one `match`:
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{Respond, Text, Typed};
/// use http::Response;
///
/// enum Placed {
///     Now(Typed<201, Text>),
///     Later(Typed<202, ()>),
///     Never(Typed<409, Text>),
/// }
///
/// impl Respond for Placed {
///     fn respond(self) -> Response<Body> {
///         match self {
///             Self::Now(it) => it.respond(),
///             Self::Later(it) => it.respond(),
///             Self::Never(it) => it.respond(),
///         }
///     }
/// }
///
/// assert_eq!(Placed::Later(Typed::new(())).respond().status(), 202);
/// # let _ = (Placed::Now, Placed::Never);
/// ```
pub trait Respond {
    /// The response.
    fn respond(self) -> Response<Body>;
}

impl Respond for Response<Body> {
    fn respond(self) -> Self {
        self
    }
}

/// An empty body.
impl Respond for () {
    fn respond(self) -> Response<Body> {
        Response::new(Body::empty())
    }
}

impl Respond for ExtractError {
    fn respond(self) -> Response<Body> {
        self.into_response()
    }
}

impl<T: Respond, E: Respond> Respond for Result<T, E> {
    fn respond(self) -> Response<Body> {
        match self {
            Ok(it) => it.respond(),
            Err(it) => it.respond(),
        }
    }
}

/// A response whose status is part of its type, so that a handler's signature says what it answers, and the compiler holds it to that.
///
/// The status is checked when it is compiled: one that is final (RFC 9110 section 15), from 200 to 599. It takes the place of that of the
/// content.
///
/// ```
/// use bartizan_listener::extract::{Respond, Text, Typed};
/// use http::{HeaderValue, header::LOCATION};
///
/// fn create() -> Result<Typed<201, ()>, Typed<409, Text>> {
///     Ok(Typed::new(()).with_header(LOCATION, HeaderValue::from_static("/users/7")))
/// }
///
/// let response = create().respond();
/// assert_eq!(response.status(), 201);
/// assert_eq!(response.headers()["location"], "/users/7");
/// ```
///
/// This does not compile:
///
/// ```compile_fail
/// let _ = bartizan_listener::extract::Typed::<99, ()>::new(());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed<const STATUS: u16, T> {
    content: T,
    headers: HeaderMap,
}

impl<const STATUS: u16, T> Typed<STATUS, T> {
    /// Evaluated where `new` is compiled, which is the only way to a value.
    const IS_FINAL: () = assert!(
        STATUS >= 200 && STATUS <= 599,
        "the status of a response is from 200 to 599"
    );

    /// That content under that status.
    pub fn new(content: T) -> Self {
        let () = Self::IS_FINAL;
        Self {
            content,
            headers: HeaderMap::new(),
        }
    }

    /// Adds a header field. The first of a name takes the place of the content's own; further ones are added.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The status.
    #[expect(clippy::missing_panics_doc, reason = "no such type compiles")]
    pub fn status(&self) -> StatusCode {
        let () = Self::IS_FINAL;
        StatusCode::from_u16(STATUS).expect("it is one from 200 to 599")
    }

    /// The content.
    pub fn into_content(self) -> T {
        self.content
    }

    #[cfg(feature = "axum")]
    pub(crate) fn into_content_and_headers(self) -> (T, HeaderMap) {
        (self.content, self.headers)
    }
}

impl<const STATUS: u16, T: Respond> Respond for Typed<STATUS, T> {
    fn respond(self) -> Response<Body> {
        let status = self.status();
        let mut response = self.content.respond();
        *response.status_mut() = status;
        // This replaces what was there under a name, and then adds.
        response.headers_mut().extend(self.headers);
        response
    }
}

/// One of two responses. Nested, one of three.
///
/// ```
/// use bartizan_listener::extract::{Either, Respond, Text, Typed};
///
/// fn find(id: u32) -> Either<Text, Typed<404, ()>> {
///     match id {
///         7 => Either::Left(Text("seven".to_owned())),
///         _ => Either::Right(Typed::new(())),
///     }
/// }
///
/// assert_eq!(find(7).respond().status(), 200);
/// assert_eq!(find(8).respond().status(), 404);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    Left(A),
    /// The second.
    Right(B),
}

impl<A: Respond, B: Respond> Respond for Either<A, B> {
    fn respond(self) -> Response<Body> {
        match self {
            Self::Left(it) => it.respond(),
            Self::Right(it) => it.respond(),
        }
    }
}

/// The handler returned a value that the format has no way to write: a mistake of the program's, which the peer is not told.
#[cfg(any(feature = "json", feature = "xml"))]
pub(crate) fn unwritable(format: &'static str, error: &BoxError) -> Response<Body> {
    tracing::error!(format, error = %error, "a response cannot be written");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the response cannot be written",
    )
}
