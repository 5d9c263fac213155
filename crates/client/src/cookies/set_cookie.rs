//! What `Set-Cookie` says (RFC 6265 section 5.2).

use std::time::{Duration, SystemTime};

use super::{CookieError, SameSite, date, error::Why};

/// Longer values of attributes are left out of account (RFC 6265bis section 5.6).
pub(super) const MAX_ATTRIBUTE: usize = 1024;

/// A `Set-Cookie` field, read and not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) max_age: Option<i64>,
    pub(super) expires: Option<SystemTime>,
    /// Lower case, without its leading dot, and never empty.
    pub(super) domain: Option<String>,
    /// `Some(None)` where the attribute was there, and asks for the default.
    pub(super) path: Option<Option<String>>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<SameSite>,
}

impl SetCookie {
    /// Reads a field. `max_size` is of name and value together, in bytes.
    pub(super) fn parse(field: &[u8], max_size: usize) -> Result<Self, CookieError> {
        let syntax = |what| CookieError::new(Why::Syntax(what));
        if field
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
        {
            return Err(syntax("it has a control character"));
        }
        let field = std::str::from_utf8(field).map_err(|_| syntax("it is not UTF-8"))?;
        let mut parts = field.split(';');
        let pair = parts.next().unwrap_or_default();
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| syntax("its first part has no `=`"))?;
        let (name, value) = (trim(name), trim(value));
        if name.is_empty() {
            return Err(syntax("it has no name"));
        }
        if name.len() + value.len() > max_size {
            return Err(CookieError::new(Why::TooLarge(max_size)));
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            max_age: None,
            expires: None,
            domain: None,
            path: None,
            secure: false,
            http_only: false,
            same_site: None,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            cookie.attribute(trim(name), trim(value));
        }
        Ok(cookie)
    }

    /// Of several of one name, the last that means something counts.
    fn attribute(&mut self, name: &str, value: &str) {
        if value.len() > MAX_ATTRIBUTE {
            return;
        }
        let is = |attribute| name.eq_ignore_ascii_case(attribute);
        if is("expires") {
            self.expires = date::parse(value.as_bytes()).or(self.expires);
        } else if is("max-age") {
            self.max_age = seconds(value).or(self.max_age);
        } else if is("domain") {
            let domain = value.strip_prefix('.').unwrap_or(value);
            // What the RFC leaves undefined is left out, as it suggests.
            if !value.is_empty() {
                self.domain = Some(domain.to_lowercase());
            }
        } else if is("path") {
            self.path = Some(value.starts_with('/').then(|| value.to_owned()));
        } else if is("secure") {
            self.secure = true;
        } else if is("httponly") {
            self.http_only = true;
        } else if is("samesite") {
            self.same_site = SameSite::named(value);
        }
    }

    /// When it ends: `None` with the session. `Max-Age` counts before `Expires`.
    pub(super) fn expires_at(&self, now: SystemTime) -> Option<SystemTime> {
        /// 31 December 9999, the last day that a date can name.
        const LAST: u64 = 253_402_300_799;
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST);
        match (self.max_age, self.expires) {
            (Some(age), _) => Some(match u64::try_from(age) {
                Ok(0) | Err(_) => SystemTime::UNIX_EPOCH,
                Ok(age) => now
                    .checked_add(Duration::from_secs(age.min(LAST)))
                    .map_or(last, |end| end.min(last)),
            }),
            (None, expires) => expires,
        }
    }
}

/// Spaces and tabs, and no other whitespace.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A number with or without a minus. One that is too large is as large as can be.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if digits.len() < text.len() {
        -1
    } else {
        digits.parse().unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(field: &str) -> SetCookie {
        SetCookie::parse(field.as_bytes(), 4096).expect("a cookie")
    }

    #[test]
    fn attributes_are_read_in_any_case_and_the_last_counts() {
        let cookie = parse(
            "a=b=c ; MAX-AGE=10;max-age=x;Domain=.H.Example; domain=; PATH=/p;secure=no;HttpOnly; SameSite = strict",
        );
        assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("a", "b=c"));
        assert_eq!(cookie.max_age, Some(10));
        assert_eq!(cookie.domain.as_deref(), Some("h.example"));
        assert_eq!(cookie.path, Some(Some("/p".into())));
        assert!(cookie.secure && cookie.http_only);
        assert_eq!(cookie.same_site, Some(SameSite::Strict));
        assert_eq!(parse("a=b;path=/p;path=").path, Some(None));
        assert_eq!(parse("a=b;samesite=lax;samesite=odd").same_site, None);
    }

    #[test]
    fn numbers_that_are_too_large_are_bounded() {
        let now = SystemTime::UNIX_EPOCH;
        let end = |field| parse(field).expires_at(now);
        let last = end("a=b; expires=Fri, 31 Dec 9999 23:59:59 GMT");
        assert!(last.is_some());
        assert_eq!(end("a=b; max-age=99999999999999999999999"), last);
        assert_eq!(end("a=b; max-age=-99999999999999999999999"), Some(now));
        assert_eq!(
            end("a=b; max-age=0; expires=Fri, 31 Dec 9999 23:59:59 GMT"),
            Some(now)
        );
        assert_eq!(end("a=b; max-age=--1"), None);
        assert_eq!(end("a=b; max-age=+1"), None);
    }

    #[test]
    fn attributes_that_are_too_long_are_left_out() {
        let long = "x".repeat(MAX_ATTRIBUTE);
        assert_eq!(parse(&format!("a=b; path=/{long}")).path, None);
        assert!(parse(&format!("a=b; path=/{}", &long[1..])).path.is_some());
    }

    #[test]
    fn what_is_no_cookie_says_why() {
        for (field, why) in [
            ("", "its first part has no `=`"),
            ("a;b=c", "its first part has no `=`"),
            ("=b", "it has no name"),
            (" \t=b", "it has no name"),
            ("a=b\0", "it has a control character"),
            ("a=b\r\nc", "it has a control character"),
        ] {
            let error = SetCookie::parse(field.as_bytes(), 4096).expect_err(field);
            assert!(
                error.is_syntax() && error.to_string().ends_with(why),
                "{error}"
            );
        }
        let error = SetCookie::parse(b"a=\xff", 4096).expect_err("Latin-1");
        assert!(error.is_syntax());
        assert!(SetCookie::parse(b"ab=cd", 4).is_ok());
        assert!(
            SetCookie::parse(b"ab=cde", 4)
                .expect_err("five")
                .is_too_large()
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(field: Vec<u8>) {
            if let Ok(cookie) = SetCookie::parse(&field, 4096) {
                assert!(!cookie.name.is_empty() && !cookie.name.contains(['=', ';']));
                assert!(!cookie.value.contains(';'));
            }
        }
    }
}
