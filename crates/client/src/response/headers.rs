//! What headers say, read.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use super::content_type::charset;

/// Reads the headers that callers ask for most, of a response, a request, or a [`HeaderMap`] such as that of an
/// [error](crate::Error::headers).
///
/// Each is `None` where the header is missing, or is not what its RFC allows, unless its docs say more: a peer may send anything. Of a
/// header that occurs more than once and may not, the first counts.
///
/// ```
/// use bartizan_client::HeadersExt;
/// use http::Response;
/// use std::time::{Duration, SystemTime};
///
/// let response = Response::builder()
///     .header("content-type", "text/html; charset=\"utf-8\"")
///     .header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
///     .header("vary", "accept, accept-language")
///     .header("retry-after", "120")
///     .body(())?;
///
/// assert_eq!(response.media_type(), Some("text/html"));
/// assert_eq!(response.charset().as_deref(), Some("utf-8"));
/// assert_eq!(response.last_modified(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)));
/// assert_eq!(response.vary(), ["accept", "accept-language"]);
/// assert_eq!(response.retry_after(SystemTime::UNIX_EPOCH), Some(Duration::from_secs(120)));
/// assert_eq!(response.etag(), None);
/// # Ok::<(), http::Error>(())
/// ```
pub trait HeadersExt: sealed::Sealed {
    /// `Content-Type` (RFC 9110 section 8.3), with its parameters.
    fn content_type(&self) -> Option<&str> {
        text(self.map(), &header::CONTENT_TYPE)
    }

    /// `Content-Type` without its parameters: `text/html`. In the spelling of the peer, which may be upper case.
    fn media_type(&self) -> Option<&str> {
        let media_type = self.content_type()?.split(';').next()?.trim();
        (!media_type.is_empty()).then_some(media_type)
    }

    /// The charset of `Content-Type`, as it is spelled there, and without quotes.
    fn charset(&self) -> Option<Cow<'_, str>> {
        charset(self.map())
    }

    /// `Content-Length` in bytes (RFC 9110 section 8.6). Of a response to `HEAD`, what `GET` would have brought.
    fn content_length(&self) -> Option<u64> {
        digits(text(self.map(), &header::CONTENT_LENGTH)?)
    }

    /// `ETag` (RFC 9110 section 8.8.3), as it is to be sent back: with its quotes, and `W/` before them if it is weak.
    fn etag(&self) -> Option<&str> {
        let tag = text(self.map(), &header::ETAG)?;
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        let inside = opaque.strip_prefix('"')?.strip_suffix('"')?;
        (!inside.contains(['"', ' '])).then_some(tag)
    }

    /// `Last-Modified` (RFC 9110 section 8.8.2).
    fn last_modified(&self) -> Option<SystemTime> {
        date(self.map(), &header::LAST_MODIFIED)
    }

    /// `Date` (RFC 9110 section 6.6.1): when the response was made.
    fn date(&self) -> Option<SystemTime> {
        date(self.map(), &header::DATE)
    }

    /// `Expires` (RFC 9111 section 5.3). What is no date, such as `0`, means that the response has expired already, and comes as
    /// [`SystemTime::UNIX_EPOCH`].
    fn expires(&self) -> Option<SystemTime> {
        let is_there = self.map().contains_key(header::EXPIRES);
        is_there.then(|| date(self.map(), &header::EXPIRES).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// The members of `Vary` (RFC 9110 section 12.5.5), of all its lines: names of headers, or `*`. None if there is no such header.
    fn vary(&self) -> Vec<&str> {
        let lines = self.map().get_all(header::VARY).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|member| !member.is_empty())
            .collect()
    }

    /// How long to wait by `Retry-After` (RFC 9110 section 10.2.3), which is in seconds or a date. A date that is not after `now` is no
    /// wait.
    fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let value = text(self.map(), &header::RETRY_AFTER)?;
        match digits(value) {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => {
                let date = httpdate::parse_http_date(value).ok()?;
                Some(date.duration_since(now).unwrap_or_default())
            }
        }
    }

    /// `Location` (RFC 9110 section 10.2.2): a reference, to be resolved against the URI that was asked for.
    fn location(&self) -> Option<&str> {
        text(self.map(), &header::LOCATION)
    }

    /// The lines of `Set-Cookie` (RFC 6265 section 4.1), each a cookie, not parsed.
    fn set_cookies(&self) -> impl Iterator<Item = &HeaderValue> {
        self.map().get_all(header::SET_COOKIE).iter()
    }
}

impl HeadersExt for HeaderMap {}
impl<B> HeadersExt for Response<B> {}
impl<B> HeadersExt for Request<B> {}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

/// Digits and nothing else: `parse` takes a plus.
fn digits(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

mod sealed {
    use http::{HeaderMap, Request, Response};

    pub trait Sealed {
        fn map(&self) -> &HeaderMap;
    }

    impl Sealed for HeaderMap {
        fn map(&self) -> &HeaderMap {
            self
        }
    }

    impl<B> Sealed for Response<B> {
        fn map(&self) -> &HeaderMap {
            self.headers()
        }
    }

    impl<B> Sealed for Request<B> {
        fn map(&self) -> &HeaderMap {
            self.headers()
        }
    }
}
