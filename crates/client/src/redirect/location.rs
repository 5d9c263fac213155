//! What `Location` means: the one place that reads it.
//!
//! The same parse decides the origin and makes the request, so no other reader can be made to see another host.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, Uri, header::LOCATION};
use url::{Origin, Position, Url};

/// Longer than any URI that leads somewhere: RFC 9110 section 4.1 asks for 8,000 bytes, and single sign-on needs more.
const MAX_LENGTH: usize = 32 * 1024;

/// Stands for the host that a relative URI does not name. It can be nobody's (RFC 6761).
const NO_HOST: &str = "http://relative.invalid";

/// Why a `Location` cannot be followed, to be read after "has a `Location` that".
pub(super) type Invalid = Cow<'static, str>;

/// Where a request went, as a base for references.
#[derive(Clone, Debug)]
pub(super) struct Base {
    url: Url,
    is_relative: bool,
}

/// Where a `Location` leads.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) fragment: Option<Arc<str>>,
    pub(super) is_cross_origin: bool,
    /// From `https` to `http`.
    pub(super) is_downgrade: bool,
}

impl Base {
    pub(super) fn of(uri: &Uri) -> Result<Self, Invalid> {
        let unusable = || Cow::Borrowed("cannot be resolved, as the request's own URI is no URL");
        let is_relative = uri.authority().is_none();
        let mut url = if is_relative {
            // `*`, which is no path, included.
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            path.starts_with('/')
                .then(|| Url::parse(&format!("{NO_HOST}{path}")).ok())
                .flatten()
        } else {
            Url::parse(&uri.to_string()).ok()
        }
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(unusable)?;
        // Who logged in here is not whom the target is to hear of.
        url.set_username("").map_err(|()| unusable())?;
        url.set_password(None).map_err(|()| unusable())?;
        Ok(Self { url, is_relative })
    }

    /// Resolves a reference by the rules of the WHATWG, which are those of RFC 3986 with the mistakes that servers make allowed for.
    pub(super) fn resolve(&self, location: &[u8]) -> Result<Target, Invalid> {
        if location.len() > MAX_LENGTH {
            return Err("is longer than 32 KiB".into());
        }
        if location.iter().any(u8::is_ascii_control) {
            return Err("has a control character".into());
        }
        let Ok(text) = std::str::from_utf8(location) else {
            return Err("is not UTF-8".into());
        };
        let url = self
            .url
            .join(text)
            .map_err(|error| format!("is no URL ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("is neither http nor https".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("names a user".into());
        }
        if url.port() == Some(0) {
            return Err("names port 0".into());
        }
        let is_same = same_origin(&self.url, &url);
        let whole = if self.is_relative && is_same {
            &url[Position::BeforePath..Position::AfterQuery]
        } else {
            &url[..Position::AfterQuery]
        };
        let uri = whole
            .parse()
            .map_err(|error| format!("is no URI ({error})"))?;
        Ok(Target {
            uri,
            fragment: url.fragment().map(Into::into),
            is_cross_origin: !is_same,
            is_downgrade: self.url.scheme() == "https" && url.scheme() == "http",
        })
    }

    /// What `Referer` says of the base to `target` (RFC 9110 section 10.1.3): the page to its own origin, the origin to others, and
    /// nothing where TLS ends or where no host is known.
    pub(super) fn referer(&self, target: &Target) -> Option<String> {
        if self.is_relative || target.is_downgrade {
            return None;
        }
        let end = if target.is_cross_origin {
            Position::BeforePath
        } else {
            Position::AfterQuery
        };
        let slash = if target.is_cross_origin { "/" } else { "" };
        Some(format!("{}{slash}", &self.url[..end]))
    }
}

fn same_origin(a: &Url, b: &Url) -> bool {
    // Those of `http` and `https` are never opaque.
    matches!(
        (a.origin(), b.origin()),
        (a @ Origin::Tuple(..), b @ Origin::Tuple(..)) if a == b
    )
}

/// The value of `Location`, if there is one.
pub(super) fn of(headers: &HeaderMap) -> Option<Result<&[u8], Invalid>> {
    let mut values = headers.get_all(LOCATION).iter();
    let first = values.next()?;
    // The same one twice is a mistake that harms nobody; two are a request to be read differently by two readers.
    Some(if values.any(|value| value != first) {
        Err("is there more than once, and not the same".into())
    } else {
        Ok(first.as_bytes())
    })
}

/// Reads a `Location` as the layer does, and holds the outcome to what the layer relies on.
pub(crate) fn check(base: &Uri, location: &[u8]) {
    if base.authority().is_none() {
        return;
    }
    let Ok(Ok(target)) = Base::of(base).map(|base| base.resolve(location)) else {
        return;
    };
    assert!(matches!(target.uri.scheme_str(), Some("http" | "https")));
    assert!(target.uri.host().is_some_and(|host| !host.is_empty()));
    let authority = target
        .uri
        .authority()
        .map_or("", |authority| authority.as_str());
    assert!(!authority.contains('@'), "{authority}");
    // What the layer compares and what the transport connects to are the same.
    let again = Base::of(&target.uri).expect("what was resolved is a base");
    assert!(
        same_origin(&again.url, &Base::of(base).expect("a base").url) != target.is_cross_origin
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(base: &str, location: &str) -> Result<Target, Invalid> {
        Base::of(&base.parse().expect("a URI"))?.resolve(location.as_bytes())
    }

    #[test]
    fn references_resolve() {
        for (base, location, uri, fragment) in [
            ("http://h/a/b?c", "d", "http://h/a/d", None),
            ("http://h/a/b?c", "./d?e", "http://h/a/d?e", None),
            ("http://h/a/b?c", "../d", "http://h/d", None),
            ("http://h/a/b?c", "../../../../d", "http://h/d", None),
            ("http://h/a/b?c", "/d#f", "http://h/d", Some("f")),
            ("http://h/a/b?c", "?d", "http://h/a/b?d", None),
            ("http://h/a/b?c", "", "http://h/a/b?c", None),
            ("http://h/a/b?c", "#f", "http://h/a/b?c", Some("f")),
            ("https://h/a", "//i/b", "https://i/b", None),
            ("https://h/a", "/\\i/b", "https://i/b", None),
            ("https://h/a", "http:/b", "http://b/", None),
            ("https://h/a", " /b ", "https://h/b", None),
            ("http://h/a", "HTTP://H:80/b", "http://h/b", None),
            ("http://h:8080/a", "/b", "http://h:8080/b", None),
            ("http://h/a", "http://[::1]:81/b", "http://[::1]:81/b", None),
            (
                "http://h/a",
                "http://2130706433/",
                "http://127.0.0.1/",
                None,
            ),
            ("http://h/a", "/ü b", "http://h/%C3%BC%20b", None),
            (
                "http://h/a",
                "/%zz|{}^`\"<>",
                "http://h/%zz|%7B%7D^%60%22%3C%3E",
                None,
            ),
            (
                "http://h/a",
                "/?q=|{}^`\"<>'",
                "http://h/?q=|{}^`%22%3C%3E%27",
                None,
            ),
            (
                "http://h/a",
                "http://bücher.example/",
                "http://xn--bcher-kva.example/",
                None,
            ),
            ("http://me:pw@h/a", "/b", "http://h/b", None),
            ("/a/b?c", "d", "/a/d", None),
            ("/a/b?c", "//i/d", "http://i/d", None),
            ("/a", "https://i/d", "https://i/d", None),
        ] {
            let target = resolve(base, location).unwrap_or_else(|why| panic!("{location}: {why}"));
            assert_eq!(target.uri, uri.parse::<Uri>().expect("a URI"), "{location}");
            assert_eq!(target.fragment.as_deref(), fragment, "{location}");
        }
    }

    /// The examples of RFC 3986 section 5.4, normal and abnormal.
    #[test]
    fn the_references_of_rfc_3986_resolve() {
        for (reference, path) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x", "/b/c/g;x"),
            ("g;x?y#s", "/b/c/g;x?y"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("../../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("g..", "/b/c/g.."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/./y", "/b/c/g;x=1/y"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/./x", "/b/c/g?y/./x"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("g#s/./x", "/b/c/g"),
            ("g#s/../x", "/b/c/g"),
            // As those who are not strict have it.
            ("http:g", "/b/c/g"),
        ] {
            let target = resolve("http://a/b/c/d;p?q", reference);
            let target = target.unwrap_or_else(|why| panic!("{reference}: {why}"));
            let whole = format!("http://a{path}");
            assert_eq!(
                target.uri,
                whole.parse::<Uri>().expect("a URI"),
                "{reference}"
            );
        }
        let target = resolve("http://a/b/c/d;p?q", "//g").expect("a target");
        assert_eq!(target.uri, Uri::from_static("http://g/"));
        assert!(resolve("http://a/b/c/d;p?q", "g:h").is_err());
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        let long = format!("/{}", "a".repeat(MAX_LENGTH));
        for (location, why) in [
            ("ftp://h/", "is neither http nor https"),
            ("javascript:alert(1)", "is neither http nor https"),
            ("data:text/html,a", "is neither http nor https"),
            ("file:///etc/passwd", "is neither http nor https"),
            ("http://me@h/", "names a user"),
            ("http://:pw@h/", "names a user"),
            ("http://trusted.example@evil.example/", "names a user"),
            ("http://h:0/", "names port 0"),
            ("http://", "is no URL (empty host)"),
            ("http://h:99999/", "is no URL (invalid port number)"),
            (
                "http://h o/",
                "is no URL (invalid international domain name)",
            ),
            ("//", "is no URL (empty host)"),
            ("/a\tb", "has a control character"),
            ("/a\nb", "has a control character"),
            ("/a\0b", "has a control character"),
            ("/\u{7f}", "has a control character"),
            (&long, "is longer than 32 KiB"),
        ] {
            assert_eq!(
                resolve("https://h/", location).map(|target| target.uri),
                Err(why.into())
            );
        }
        let latin = Base::of(&Uri::from_static("http://h/")).expect("a base");
        assert_eq!(latin.resolve(b"/\xfc").unwrap_err(), "is not UTF-8");
        for no_base in ["*", "h:80", "ftp://h/"] {
            assert!(
                Base::of(&no_base.parse().expect("a URI")).is_err(),
                "{no_base}"
            );
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (base, location, is_cross_origin, is_downgrade) in [
            ("http://h/", "/a", false, false),
            ("http://h/", "http://H:80/", false, false),
            ("https://h:443/", "https://h/", false, false),
            ("http://h/", "http://h:81/", true, false),
            ("http://h/", "https://h/", true, false),
            ("https://h/", "http://h/", true, true),
            ("http://h/", "http://www.h/", true, false),
            ("http://h/", "http://h./", true, false),
            ("http://127.0.0.1/", "http://2130706433/", false, false),
            ("/", "/a", false, false),
            ("/", "http://h/", true, false),
        ] {
            let target = resolve(base, location).expect("a target");
            assert_eq!(
                (target.is_cross_origin, target.is_downgrade),
                (is_cross_origin, is_downgrade),
                "{base} {location}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_location_gets_past_the_rules(location: Vec<u8>, base in "https?://[a-z]{1,5}(:[1-9][0-9]{0,3})?(/[a-z]{0,3}){0,3}") {
            check(&base.parse().expect("a URI"), &location);
        }

        #[test]
        fn nor_does_one_that_is_nearly_a_url(location in "(https?:)?[/\\\\]{0,3}[a-z@:#?.\\[\\]%0-9ü]{0,20}[/?#@a-z]{0,9}") {
            check(&Uri::from_static("https://h.example/a"), location.as_bytes());
        }
    }
}
