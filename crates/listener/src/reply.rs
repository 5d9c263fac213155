//! The future of a layer that answers by itself, or lets the call through and adds headers to its response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header::VARY};
use pin_project_lite::pin_project;

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
    use super::*;

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
