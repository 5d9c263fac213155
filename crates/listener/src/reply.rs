//! The future of a layer that answers by itself, or lets the call through and adds headers to its response.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Rejection, find};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::VARY};
use pin_project_lite::pin_project;

use crate::extract::ExtractError;

pin_project! {
    /// The response of the inner service, or the layer's own.
    ///
    /// Dropping it drops the inner call.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
        // Boxed, because most calls of most layers add none, and futures of layers add up.
        header: Option<Box<(HeaderName, HeaderValue)>>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F, RB> {
        Inner { #[pin] future: F },
        // Boxed: it is the exception, and would be most of the future's size.
        Answered { response: Option<Box<Response<RB>>> },
    }
}

impl<F, RB> ResponseFuture<F, RB> {
    pub(crate) const fn inner(future: F) -> Self {
        Self {
            state: State::Inner { future },
            header: None,
        }
    }

    pub(crate) fn answered(response: Response<RB>) -> Self {
        Self {
            state: State::Answered {
                response: Some(Box::new(response)),
            },
            header: None,
        }
    }

    /// Sets this header on the response, whoever answers. `Vary` is added to.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }
}

impl<F, RB, E> Future for ResponseFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<RB>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            StateProj::Inner { future } => ready!(future.poll(cx))?,
            StateProj::Answered { response } => {
                *response.take().expect("polled after it had answered")
            }
        };
        if let Some(header) = this.header.take() {
            let (name, value) = *header;
            set_header(response.headers_mut(), name, value);
        }
        Poll::Ready(Ok(response))
    }
}

/// The response that an error brings with it: what the client is to be told of a refusal, or of its request. `None` for a failure,
/// which is nobody's business.
pub(crate) fn of_error<RB: From<Bytes>>(error: &(dyn Error + 'static)) -> Option<Response<RB>> {
    // What could not be read may have been refused by a layer further out, and has said already what that means.
    if let Some(unread) = find::<ExtractError>(error) {
        return Some(unread.clone().into_response());
    }
    find::<Rejection>(error).map(Rejection::to_response)
}

/// Sets headers, of which each name has one value; those of `Vary` are added where they are missing.
pub(crate) fn set_headers(into: &mut HeaderMap, headers: HeaderMap) {
    let mut last = None;
    for (name, value) in headers {
        // A name is given once, with the first of its values.
        last = name.or(last);
        if let Some(name) = &last {
            set_header(into, name.clone(), value);
        }
    }
}

fn set_header(into: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if name == VARY {
        add_vary(into, &value);
    } else {
        into.insert(name, value);
    }
}

/// A list as the value of a field.
pub(crate) fn joined(items: impl Iterator<Item: AsRef<str>>) -> String {
    let mut list = String::new();
    for item in items {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(item.as_ref());
    }
    list
}

/// Adds one field name to `Vary`, unless it is there, or everything varies (RFC 9110 section 12.5.5).
pub(crate) fn add_vary(headers: &mut HeaderMap, field: &HeaderValue) {
    let is_there = headers.get_all(VARY).iter().any(|value| {
        value.as_bytes().split(|&byte| byte == b',').any(|listed| {
            let listed = listed.trim_ascii();
            listed == b"*" || listed.eq_ignore_ascii_case(field.as_bytes())
        })
    });
    if !is_there {
        headers.append(VARY, field.clone());
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::RejectionKind;

    use super::*;

    #[test]
    fn errors_have_the_response_of_the_one_who_knows_most() {
        let refused = || Rejection::new(RejectionKind::TimedOut, "test");
        let unread = ExtractError::reading(refused().into());
        let status = |error: &(dyn Error + 'static)| {
            of_error::<Bytes>(error).map(|response| response.status().as_u16())
        };
        assert_eq!(status(&unread), Some(408));
        assert_eq!(status(&refused()), Some(504));
        assert_eq!(status(&std::io::Error::other(refused())), Some(504));
        assert_eq!(status(&std::io::Error::other("secret")), None);
    }

    #[test]
    fn vary_is_added_once_and_never_to_a_star() {
        let origin = HeaderValue::from_static("origin");
        for (before, after) in [
            (&[][..], &["origin"][..]),
            (&["accept"], &["accept", "origin"]),
            (&["accept, ORIGIN"], &["accept, ORIGIN"]),
            (&["*"], &["*"]),
            (&["origin-x"], &["origin-x", "origin"]),
        ] {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(VARY, HeaderValue::from_static(value));
            }
            add_vary(&mut headers, &origin);
            let values: Vec<_> = headers.get_all(VARY).iter().collect();
            assert_eq!(values, after);
        }
    }
}
