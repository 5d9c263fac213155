//! Hosts, and which of them share cookies.

use std::{borrow::Cow, net::Ipv4Addr};

use http::Uri;

use super::set_cookie::MAX_ATTRIBUTE;

/// What of a request's URI decides about cookies.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    /// In lower case.
    pub(super) host: Cow<'a, str>,
    pub(super) path: &'a str,
    /// `https`, or to this very machine.
    pub(super) is_secure: bool,
    pub(super) is_https: bool,
}

impl<'a> Origin<'a> {
    pub(super) fn of(uri: &'a Uri) -> Option<Self> {
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        Some(Self {
            path: uri.path(),
            is_secure: is_https || is_loopback(&host),
            is_https,
            host,
        })
    }

    /// The path of a cookie that names none (RFC 6265 section 5.1.4).
    pub(super) fn default_path(&self) -> &'a str {
        // No longer than one that is named may be: a redirect can lead to any.
        let path = self.path.get(..MAX_ATTRIBUTE).unwrap_or(self.path);
        match path.rfind('/') {
            Some(end @ 1..) if path.starts_with('/') => &path[..end],
            _ => "/",
        }
    }
}

/// What never leaves the machine needs no TLS, as browsers have it.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.starts_with("127.") && host.parse::<Ipv4Addr>().is_ok()
}

/// Whether a host is an address. Names that end in a number are read as one by some resolvers, so they count as well.
fn is_address(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next();
    host.starts_with('[')
        || last.is_some_and(|last| {
            let is_hex = last
                .strip_prefix("0x")
                .is_some_and(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
            is_hex || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

/// Whether cookies of `domain` are for `host` (RFC 6265 section 5.1.3). Both in lower case.
pub(super) fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.') && !is_address(host))
}

/// Whether cookies of `cookie_path` are for `path` (RFC 6265 section 5.1.4).
pub(super) fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

/// Whether strangers live below `domain`: those of `co.uk` and of `github.io`, and of every name without a dot.
pub(super) fn is_public_suffix(domain: &str) -> bool {
    let domain = domain.trim_end_matches('.');
    domain.is_empty() || (!is_address(domain) && psl::suffix_str(domain) == Some(domain))
}

/// What one owner holds: the name below the public suffix, or the host itself.
pub(super) fn site(host: &str) -> &str {
    if is_address(host) {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

/// `domain`, with letters beyond ASCII as DNS has them.
pub(super) fn to_ascii(domain: &str) -> Option<Cow<'_, str>> {
    if domain.is_ascii() {
        return Some(Cow::Borrowed(domain));
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => Some(Cow::Owned(domain)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_match_whole_labels_of_names() {
        for (host, domain, matches) in [
            ("h.example", "h.example", true),
            ("a.h.example", "h.example", true),
            ("ah.example", "h.example", false),
            ("h.example", "a.h.example", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "0.0.1", false),
            ("1.2", "2", false),
            ("a.0x1f", "0x1f", false),
            ("[::1]", "1]", false),
            ("h.example.", "h.example", false),
            ("a.h.example.", "h.example.", true),
        ] {
            assert_eq!(domain_matches(host, domain), matches, "{host} {domain}");
        }
    }

    #[test]
    fn paths_match_whole_segments() {
        for (path, cookie_path, matches) in [
            ("/", "/", true),
            ("/a", "/", true),
            ("/a", "/a", true),
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/a", "/a/", false),
            ("/ab", "/a", false),
            ("/A", "/a", false),
            ("/a", "/a/b", false),
            ("*", "/", false),
        ] {
            assert_eq!(
                path_matches(path, cookie_path),
                matches,
                "{path} {cookie_path}"
            );
        }
    }

    #[test]
    fn default_paths() {
        for (path, default) in [
            ("/", "/"),
            ("/a", "/"),
            ("/a/", "/a"),
            ("/a/b", "/a"),
            ("/a/b/c?d/e", "/a/b"),
            ("", "/"),
        ] {
            let uri: Uri = format!("http://h.example{path}").parse().expect("a URI");
            assert_eq!(
                Origin::of(&uri).expect("an origin").default_path(),
                default,
                "{path}"
            );
        }
    }

    #[test]
    fn a_default_path_is_no_longer_than_one_that_is_named() {
        let uri: Uri = format!("http://h.example/a/{}/b", "x".repeat(5000))
            .parse()
            .expect("a URI");
        assert_eq!(Origin::of(&uri).expect("an origin").default_path(), "/a");
    }

    #[test]
    fn public_suffixes_are_those_of_the_list_and_names_without_a_dot() {
        for suffix in [
            "com",
            "com.",
            "co.uk",
            "github.io",
            "corp",
            "localhost",
            "",
            ".",
            "xn--p1ai",
        ] {
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        for name in [
            "example.com",
            "example.com.",
            "a.github.io",
            "a.corp",
            "127.0.0.1",
            "[::1]",
        ] {
            assert!(!is_public_suffix(name), "{name}");
        }
        assert_eq!(site("a.b.example.co.uk"), "example.co.uk");
        assert_eq!(site("co.uk"), "co.uk");
        assert_eq!(site("127.0.0.1"), "127.0.0.1");
        assert_eq!(site("a.localhost"), "a.localhost");
    }

    #[test]
    fn names_beyond_ascii_are_as_dns_has_them() {
        assert_eq!(
            to_ascii("bücher.example").as_deref(),
            Some("xn--bcher-kva.example")
        );
        assert_eq!(to_ascii("ü b").as_deref(), None);
        assert_eq!(to_ascii("127.1").as_deref(), Some("127.1"));
    }

    #[test]
    fn loopback_counts_as_secure() {
        for (uri, is_secure) in [
            ("https://h.example/", true),
            ("http://h.example/", false),
            ("http://localhost:1/", true),
            ("http://a.LOCALHOST/", true),
            ("http://127.8.9.10/", true),
            ("http://[::1]/", true),
            ("http://127.0.0.1.example/", false),
        ] {
            assert_eq!(
                Origin::of(&uri.parse().expect("a URI"))
                    .expect("an origin")
                    .is_secure,
                is_secure,
                "{uri}"
            );
        }
        for uri in ["/a", "ftp://h/", "h:80", "*"] {
            assert!(Origin::of(&uri.parse().expect("a URI")).is_none(), "{uri}");
        }
    }
}
