//! The part of a URL that says where, and the prefix under which a service lives there.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::ConfigError;

const EXPECTED: &str = "an absolute http:// or https:// URL";

/// A checked `http://host:port/prefix`: where a service is, and the path under which it lives there.
///
/// [`join`](Self::join) puts a request's path behind the prefix. This is concatenation, as users of a base URL expect it, not the
/// reference resolution of RFC 3986, in which a path that starts with `/` would discard the prefix:
///
/// ```
/// use bartizan_core::BaseUrl;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let base: BaseUrl = "https://api.example.com/v2/".parse()?;
/// assert_eq!(base.join(&"/users?page=2".parse()?)?, "https://api.example.com/v2/users?page=2");
/// # Ok(())
/// # }
/// ```
///
/// A query, a fragment or user information in it is an error: the first two would be lost, and credentials do not belong in a
/// configured URL, which is printed and logged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Starts with a slash and ends with none; empty for the root.
    prefix: String,
}

impl BaseUrl {
    /// `http` or `https`.
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and, if it was given, port.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The path before every path; empty or like `/v2`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where a request for `uri` goes below this base: scheme, host and port from here, the prefix before its path, its query kept.
    ///
    /// Whatever scheme and host `uri` has are replaced. Allocates nothing if the base has no prefix.
    ///
    /// # Errors
    ///
    /// If the whole is longer than a [`Uri`] can be (64 KiB).
    pub fn join(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(match uri.path_and_query() {
            // `OPTIONS *` asks about the server, not about a path on it.
            Some(path) if self.prefix.is_empty() || path == "*" => path.clone(),
            // Shared, where parsing a string would copy it.
            Some(path) => {
                PathAndQuery::from_maybe_shared(Bytes::from(format!("{}{path}", self.prefix)))?
            }
            None if self.prefix.is_empty() => PathAndQuery::from_static("/"),
            None => self.prefix.parse()?,
        });
        Ok(Uri::from_parts(parts)?)
    }
}

impl TryFrom<&Uri> for BaseUrl {
    type Error = ConfigError;

    fn try_from(uri: &Uri) -> Result<Self, ConfigError> {
        let text = uri.to_string();
        let invalid = |expected: &str| Err(ConfigError::new("base URL", redacted(&text), expected));
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return invalid(EXPECTED);
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return invalid(EXPECTED);
        }
        if authority.host().is_empty() {
            return invalid("a URL with a host");
        }
        if authority.as_str().contains('@') {
            return invalid("a URL without user and password");
        }
        // `http` keeps an authority such as `host:99999` and answers `None` for its port.
        let port_is_given = authority.as_str().len() > authority.host().len();
        if port_is_given && !matches!(authority.port_u16(), Some(1..)) {
            return invalid("a port from 1 to 65535");
        }
        if uri.query().is_some() {
            return invalid("a URL without a query");
        }
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl FromStr for BaseUrl {
    type Err = ConfigError;

    fn from_str(s: &str) -> Result<Self, ConfigError> {
        let invalid = |expected| ConfigError::new("base URL", redacted(s), expected);
        if s.contains('#') {
            return Err(invalid("a URL without a fragment"));
        }
        match s.parse::<Uri>() {
            Ok(uri) => Self::try_from(&uri),
            Err(error) => Err(invalid(EXPECTED).with_source(error)),
        }
    }
}

/// What may be shown of a URL that is no base: not the parts that should not be there, which may be secret.
fn redacted(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (shown, hidden) = url.split_at(end);
    let (scheme, rest) = match shown.find("://") {
        Some(at) => shown.split_at(at + 3),
        None => ("", shown),
    };
    // Up to the last `@`, wherever it is: what is no URL may have its password anywhere.
    let (user, rest) = match rest.rfind('@') {
        Some(at) => ("***@", &rest[at + 1..]),
        None => ("", rest),
    };
    let tail = hidden
        .chars()
        .next()
        .map(|mark| format!("{mark}…"))
        .unwrap_or_default();
    format!("{scheme}{user}{rest}{tail}")
}

macro_rules! parse_from {
    ($($ty:ty),*) => {
        $(impl TryFrom<$ty> for BaseUrl {
            type Error = ConfigError;

            fn try_from(s: $ty) -> Result<Self, ConfigError> {
                s.parse()
            }
        })*
    };
}

// Where a builder takes `impl TryInto<BaseUrl>`, these are what a program has.
parse_from!(&str, String, &String);

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(s: &str) -> BaseUrl {
        s.parse().expect("a valid base")
    }

    #[test]
    fn joins_by_concatenation() {
        for (base_url, uri, joined) in [
            ("http://h", "/a?b=c", "http://h/a?b=c"),
            ("http://h/", "/a", "http://h/a"),
            ("http://h:8080/v2", "/a", "http://h:8080/v2/a"),
            ("http://h/v2/", "/", "http://h/v2/"),
            ("http://h/v2", "http://other:1/a?b", "http://h/v2/a?b"),
            ("http://h/v2", "other:1", "http://h/v2"),
            ("http://h/v2", "*", "http://h*"),
            ("http://[::1]:80/v2", "/a", "http://[::1]:80/v2/a"),
            ("https://h/a%20b", "/c%2Fd", "https://h/a%20b/c%2Fd"),
        ] {
            let uri: Uri = uri.parse().expect("a valid URI");
            assert_eq!(
                base(base_url).join(&uri).expect("short enough").to_string(),
                joined
            );
        }
    }

    #[test]
    fn too_long_is_an_error_and_not_a_wrong_path() {
        let base = base(&format!("http://h/{}", "a".repeat(40_000)));
        let uri: Uri = format!("/{}", "b".repeat(40_000)).parse().expect("fits");
        assert!(base.join(&uri).is_err());
    }

    #[test]
    fn what_is_no_base_says_why() {
        for (url, reason) in [
            ("", EXPECTED),
            ("/path", EXPECTED),
            ("localhost:9090", EXPECTED),
            ("ftp://h", EXPECTED),
            ("http://", EXPECTED),
            ("http://h:99999", "a port from 1 to 65535"),
            ("http://h:port", "a port from 1 to 65535"),
            ("http://h:0", "a port from 1 to 65535"),
            ("http://h?q", "a URL without a query"),
            ("http://h/#top", "a URL without a fragment"),
            ("http://h o", EXPECTED),
            ("http://me:secret@h", "a URL without user and password"),
            ("http://me:secret@h/#top", "a URL without a fragment"),
            ("http://h/#secret", "a URL without a fragment"),
            ("http://h/?key=secret", "a URL without a query"),
            ("http://me:secret@h o", EXPECTED),
            ("ftp://me:secret@h", EXPECTED),
            ("http://me:secret@", EXPECTED),
            ("me:sec/secret@h", EXPECTED),
        ] {
            let error = url.parse::<BaseUrl>().expect_err(url);
            assert_eq!(error.expected(), reason, "{url}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
