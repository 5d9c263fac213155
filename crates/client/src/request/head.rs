//! Headers, credentials and the query.

use std::{borrow::Borrow, fmt};

use bartizan_core::Body;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, uri::PathAndQuery};

use super::RequestBuilder;
use crate::{Error, error::Kind};

impl<S> RequestBuilder<S> {
    /// Sets a header, in place of any value it had. For several values of one name, see [`headers`](Self::headers).
    ///
    /// The values of `Authorization`, `Proxy-Authorization` and `Cookie` are marked as sensitive, which keeps them out of `Debug`
    /// output and of the compression tables of HTTP/2. No header's value is ever part of an error.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: Into<http::Error>> + fmt::Display + Clone,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.and_then(|request| {
            let shown = name.clone();
            let name = name.try_into().map_err(|error| {
                Error::new(
                    Kind::Builder,
                    format!("`{shown}` is not the name of a header"),
                )
                .with_source(error.into())
            })?;
            let mut value = value.try_into().map_err(|error| {
                Error::new(
                    Kind::Builder,
                    format!("the value of header `{name}` is not one that HTTP allows"),
                )
                .with_source(error.into())
            })?;
            if is_secret(&name) {
                value.set_sensitive(true);
            }
            request.headers_mut().insert(name, value);
            Ok(())
        })
    }

    /// Sets headers, each in place of the values it had. One that occurs more than once in `headers` keeps all of those.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.and_then(|request| {
            let mut current = None;
            for (name, mut value) in headers {
                // An iteration names a header once, before the first of its values.
                let is_first = name.is_some();
                current = name.or(current);
                let Some(name) = &current else { continue };
                if is_secret(name) {
                    value.set_sensitive(true);
                }
                if is_first {
                    request.headers_mut().insert(name, value);
                } else {
                    request.headers_mut().append(name, value);
                }
            }
            Ok(())
        })
    }

    /// Adds pairs to the query, encoded as `application/x-www-form-urlencoded`. What the query holds already stays as it is.
    ///
    /// ```
    /// # use bartizan_client::RequestBuilder;
    /// # use http::Method;
    /// let request = RequestBuilder::new((), Method::GET, "/search?page=2")
    ///     .query([("q", "ü&=")])
    ///     .query(&[("tag", "a b"), ("tag", "c")])
    ///     .build()?;
    /// assert_eq!(request.uri(), "/search?page=2&q=%C3%BC%26%3D&tag=a+b&tag=c");
    /// # Ok::<(), bartizan_client::Error>(())
    /// ```
    pub fn query<I, K, V>(self, pairs: I) -> Self
    where
        I: IntoIterator<Item: Borrow<(K, V)>>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        self.and_then(|request| {
            extend_query(request, |encoder| {
                encoder.extend_pairs(pairs);
            })
        })
    }

    /// The same, with the fields of a struct, or whatever else serialises to pairs. `None` is left out; what nests is a mistake in the
    /// request.
    ///
    /// ```
    /// # use bartizan_client::RequestBuilder;
    /// # use http::Method;
    /// #[derive(serde::Serialize)]
    /// struct Page { page: u32, per_page: Option<u32>, q: &'static str }
    ///
    /// let request = RequestBuilder::new((), Method::GET, "/search")
    ///     .query_of(&Page { page: 2, per_page: None, q: "a b" })
    ///     .build()?;
    /// assert_eq!(request.uri(), "/search?page=2&q=a+b");
    /// # Ok::<(), bartizan_client::Error>(())
    /// ```
    #[cfg(feature = "form")]
    pub fn query_of<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.and_then(|request| {
            let pairs = serde_urlencoded::to_string(value).map_err(|error| {
                Error::new(Kind::Builder, "the query cannot be written as pairs").with_source(error)
            })?;
            let pairs = form_urlencoded::parse(pairs.as_bytes());
            extend_query(request, |encoder| {
                encoder.extend_pairs(pairs);
            })
        })
    }

    /// Sets `Authorization: Bearer …` (RFC 6750 section 2.1). The value is marked as sensitive.
    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        self.header(header::AUTHORIZATION, format!("Bearer {}", token.as_ref()))
    }

    /// Sets `Authorization: Basic …` (RFC 7617), in UTF-8. The value is marked as sensitive.
    ///
    /// A user name with a colon, or a control character in either, is a mistake in the request: no server could tell them apart.
    ///
    /// ```
    /// # use bartizan_client::RequestBuilder;
    /// # use http::Method;
    /// // The example of RFC 7617 section 2.
    /// let request = RequestBuilder::new((), Method::GET, "/").basic_auth("Aladdin", "open sesame").build()?;
    /// assert_eq!(request.headers()["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    /// # Ok::<(), bartizan_client::Error>(())
    /// ```
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        let (user, password) = (user.as_ref(), password.as_ref());
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            return self.and_then(|_| {
                Err(Error::new(
                    Kind::Builder,
                    "the credentials cannot be sent as Basic: a user name has no colon, and neither part a control character",
                ))
            });
        }
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.header(header::AUTHORIZATION, format!("Basic {credentials}"))
    }

    /// Asks the server whether it wants the body before it is sent, by `Expect: 100-continue` (RFC 9110 section 10.1.1): for large
    /// bodies that it may refuse by their headers.
    ///
    /// A service that does not know it sends the body at once, and so does a transport over HTTP/2, where hyper does not tell of the
    /// answer. How long one waits that knows it is [`Timeouts::expect_continue`](crate::Timeouts::expect_continue).
    pub fn expect_continue(self) -> Self {
        self.header(header::EXPECT, "100-continue")
    }
}

/// Lets `add` write behind the query that `request` has.
fn extend_query(
    request: &mut Request<Body>,
    add: impl FnOnce(&mut form_urlencoded::Serializer<'static, String>),
) -> Result<(), Error> {
    let mut parts = request.uri().clone().into_parts();
    let (path, query) = match &parts.path_and_query {
        Some(path) => (path.path(), path.query().unwrap_or_default()),
        None => ("/", ""),
    };
    let start = path.len() + 1;
    let mut encoder = form_urlencoded::Serializer::for_suffix(format!("{path}?{query}"), start);
    add(&mut encoder);
    let extended = encoder.finish();
    if extended.len() == start {
        return Ok(());
    }
    let fail = |error: http::Error| {
        Error::new(Kind::Builder, "the URI cannot take this query").with_source(error)
    };
    let path = PathAndQuery::try_from(extended).map_err(|error| fail(error.into()))?;
    parts.path_and_query = Some(path);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| fail(error.into()))?;
    Ok(())
}

fn is_secret(name: &HeaderName) -> bool {
    [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
    ]
    .contains(name)
}
