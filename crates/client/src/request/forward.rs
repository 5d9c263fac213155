//! What of a received message is for the next hop, and what a gateway says of itself.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::RequestBuilder;
use crate::{
    Error,
    error::Kind,
    forwarded::{append, is_host, is_token},
};

/// The version of a request that is forwarded, as it was received. Not the request's own, which there are clients that insist on.
#[derive(Clone, Copy)]
pub(super) struct Received(pub(super) Version);

impl<S> RequestBuilder<S> {
    /// Adds this gateway to `Via` (RFC 9110 section 7.6.3), which a gateway has to for each request that it
    /// [forwards](crate::RequestExt::forward): the version of HTTP by which the request was received, and `received_by`, a host with
    /// or without a port, or a name in place of one that nobody shall know.
    ///
    /// Fields that are there are kept, before it: they tell the way of the request. A gateway that finds itself among them is in a
    /// loop; whether that is an error is for the gateway to say.
    ///
    /// ```
    /// # use bartizan_client::RequestExt;
    /// # use bartizan_core::{Body, BoxError};
    /// # use http::{Request, Response, Version};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = tower::service_fn(|request: Request<Body>| async { Ok::<_, BoxError>(Response::new(request)) });
    /// let received = Request::get("/").version(Version::HTTP_2).header("via", "1.0 fred").body(Body::empty())?;
    /// let sent = client.forward("http://origin.example/", received).via("edge").send().await?.into_body();
    /// assert_eq!(sent.headers()["via"], "1.0 fred, 2 edge");
    /// # Ok(())
    /// # }
    /// ```
    pub fn via(self, received_by: &str) -> Self {
        self.and_then(|request| {
            let is_name = !received_by.is_empty() && received_by.bytes().all(is_token);
            // What a list and its comments are made of may stand in a URI's host, and in none that there is.
            let is_plain = !received_by.contains([',', ';', '(', ')', '=']);
            if !(is_name || is_plain && is_host(received_by)) {
                return Err(Error::new(
                    Kind::Builder,
                    format!("`{received_by}` is neither a host nor a name for `via`"),
                ));
            }
            let received = request.extensions().get::<Received>();
            let version = match received.map_or(request.version(), |Received(version)| *version) {
                Version::HTTP_09 => "0.9",
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                Version::HTTP_3 => "3",
                _ => "1.1",
            };
            let hop = format!("{version} {received_by}");
            append(request.headers_mut(), header::VIA, &hop);
            Ok(())
        })
    }
}

/// One hop less (RFC 9110 section 7.6.2), of the requests that count them.
pub(super) fn one_hop_less(method: &Method, headers: &mut HeaderMap) -> Result<(), Error> {
    if *method != Method::TRACE && *method != Method::OPTIONS {
        return Ok(());
    }
    let told = headers
        .get(header::MAX_FORWARDS)
        .and_then(|value| value.to_str().ok());
    let Some(digits) = told.map(str::trim).filter(|told| is_digits(told)) else {
        return Ok(());
    };
    // More than we can count is the most we can.
    let hops: u64 = digits.parse().unwrap_or(u64::MAX);
    match hops.checked_sub(1) {
        Some(left) => {
            headers.insert(header::MAX_FORWARDS, HeaderValue::from(left));
            Ok(())
        }
        None => Err(Error::new(
            Kind::Builder,
            "`max-forwards` is 0: the request goes no further, and is for this gateway to answer",
        )),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `headers` of a request without those of the connection it came by, and without what follows from URI and body.
pub(super) fn of_request(mut headers: HeaderMap) -> HeaderMap {
    end_to_end(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::HOST);
    headers
}

/// Removes what is for one connection alone (RFC 9110 sections 7.6.1, 11.7.1 and 11.7.3).
pub(crate) fn end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let always = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("proxy-authentication-info"),
    ];
    for name in named.iter().chain(&always) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_counted_where_they_are_to_be() {
        let left = |method: Method, hops: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::MAX_FORWARDS, HeaderValue::from_static(hops));
            one_hop_less(&method, &mut headers).map(|()| headers.remove(header::MAX_FORWARDS))
        };
        for (method, before, after) in [
            (Method::TRACE, "10", "9"),
            (Method::OPTIONS, "1", "0"),
            (Method::OPTIONS, "007", "6"),
            (
                Method::TRACE,
                "99999999999999999999999",
                "18446744073709551614",
            ),
            // Anything else is nobody's to judge.
            (Method::GET, "0", "0"),
            (Method::TRACE, "-1", "-1"),
            (Method::TRACE, "", ""),
        ] {
            let value = left(method, before).expect("one more hop");
            assert_eq!(value.expect("kept"), after, "{before}");
        }
        for method in [Method::TRACE, Method::OPTIONS] {
            let error = left(method, "0").expect_err("no more hops");
            assert!(error.is_builder() && error.to_string().contains("`max-forwards` is 0"));
        }
        assert!(one_hop_less(&Method::TRACE, &mut HeaderMap::new()).is_ok());
    }

    #[test]
    fn what_is_for_one_hop_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "Keep-Alive , x-hop,"),
            ("connection", "bad name, X-Other"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("content-length", "3"),
            ("host", "old"),
            ("trailer", "x-digest"),
            ("authorization", "Bearer x"),
            ("x-many", "1"),
            ("x-many", "2"),
        ] {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        let kept = of_request(headers);
        let mut names: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "trailer", "x-many"]);
        assert_eq!(kept.get_all("x-many").iter().count(), 2);
    }
}
