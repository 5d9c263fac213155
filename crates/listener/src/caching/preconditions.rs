//! Whether a request is to be carried out (RFC 9110 section 13.2).

use std::time::SystemTime;

use http::{
    HeaderMap, HeaderName, Method,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE},
};

use super::{EntityTag, tags};

/// The conditions of a request.
///
/// ```
/// use bartizan_listener::caching::{EntityTag, Precondition, Preconditions};
/// use http::{HeaderMap, Method};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("if-none-match", "\"a\", \"b\"".parse().unwrap());
/// let stored = EntityTag::try_strong("b").unwrap();
/// let conditions = Preconditions::of(&headers);
/// assert_eq!(conditions.check(&Method::GET, Some(&stored), None), Precondition::NotModified);
/// assert_eq!(conditions.check(&Method::PUT, Some(&stored), None), Precondition::Failed);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Preconditions<'a>(&'a HeaderMap);

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is none, or they hold: carry it out.
    Holds,
    /// Answer 304: the client has it already.
    NotModified,
    /// Answer 412: what the client wants to change is no longer what it saw.
    Failed,
}

impl<'a> Preconditions<'a> {
    /// The conditions that stand in these headers.
    pub const fn of(headers: &'a HeaderMap) -> Self {
        Self(headers)
    }

    /// Whether there is a condition at all.
    pub fn is_none(&self) -> bool {
        let conditions = [
            IF_MATCH,
            IF_NONE_MATCH,
            IF_MODIFIED_SINCE,
            IF_UNMODIFIED_SINCE,
        ];
        // Once past all names, which are few, costs less than looking each condition up.
        !self.0.keys().any(|name| conditions.contains(name))
    }

    /// Checks them against the validators of what there is now, in the order of section 13.2.2. `None` and `None` where there is
    /// nothing yet, or its validators are not known.
    ///
    /// Times are compared in whole seconds. `If-Range` is not among them, since it decides about a range only.
    pub fn check(
        &self,
        method: &Method,
        tag: Option<&EntityTag>,
        modified: Option<SystemTime>,
    ) -> Precondition {
        let exists = tag.is_some() || modified.is_some();
        if self.0.contains_key(IF_MATCH) {
            let is_own = |other: &EntityTag| tag.is_some_and(|tag| tag.strong_eq(other));
            if !self.matches(&IF_MATCH, exists, is_own) {
                return Precondition::Failed;
            }
        } else if let (Some(since), Some(modified)) = (self.time(&IF_UNMODIFIED_SINCE), modified) {
            if seconds(modified) > seconds(since) {
                return Precondition::Failed;
            }
        }
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if self.0.contains_key(IF_NONE_MATCH) {
            let is_own = |other: &EntityTag| tag.is_some_and(|tag| tag.weak_eq(other));
            if self.matches(&IF_NONE_MATCH, exists, is_own) {
                return if is_read {
                    Precondition::NotModified
                } else {
                    Precondition::Failed
                };
            }
        } else if let (true, Some(since), Some(modified)) =
            (is_read, self.time(&IF_MODIFIED_SINCE), modified)
        {
            if seconds(modified) <= seconds(since) {
                return Precondition::NotModified;
            }
        }
        Precondition::Holds
    }

    fn matches(
        &self,
        name: &HeaderName,
        exists: bool,
        is_own: impl Fn(&EntityTag) -> bool,
    ) -> bool {
        let mut values = self.0.get_all(name).iter();
        values.any(|value| match value.to_str() {
            Ok(list) if list.trim() == "*" => exists,
            Ok(list) => tags(list).any(|tag| is_own(&tag)),
            Err(_) => false,
        })
    }

    fn time(&self, name: &HeaderName) -> Option<SystemTime> {
        let mut values = self.0.get_all(name).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        httpdate::parse_http_date(value.to_str().ok()?).ok()
    }
}

/// Dates on the wire have no fractions.
fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_table_of_section_13_2_2() {
        use Precondition::{Failed, Holds, NotModified};
        // Sun, 06 Nov 1994 08:49:37 GMT
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        let (before, same) = (
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        );
        let tag = EntityTag::try_strong("a").expect("valid");
        let (get, put) = (Method::GET, Method::PUT);
        for (fields, method, expected) in [
            (&[][..], &get, Holds),
            (&[("if-match", "\"a\"")], &put, Holds),
            (&[("if-match", "\"b\"")], &put, Failed),
            (&[("if-match", "W/\"a\"")], &put, Failed),
            (&[("if-match", "*")], &put, Holds),
            (&[("if-match", "nonsense")], &put, Failed),
            (&[("if-unmodified-since", same)], &put, Holds),
            (&[("if-unmodified-since", before)], &put, Failed),
            (&[("if-unmodified-since", "soon")], &put, Holds),
            (
                &[("if-match", "\"a\""), ("if-unmodified-since", before)],
                &put,
                Holds,
            ),
            (&[("if-none-match", "\"a\"")], &get, NotModified),
            (&[("if-none-match", "W/\"a\"")], &get, NotModified),
            (&[("if-none-match", "\"b\"")], &get, Holds),
            (
                &[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")],
                &get,
                NotModified,
            ),
            (&[("if-none-match", "*")], &put, Failed),
            (&[("if-none-match", "*")], &get, NotModified),
            (&[("if-modified-since", same)], &get, NotModified),
            (&[("if-modified-since", before)], &get, Holds),
            (&[("if-modified-since", same)], &put, Holds),
            (
                &[("if-modified-since", same), ("if-modified-since", same)],
                &get,
                Holds,
            ),
            (
                &[("if-none-match", "\"b\""), ("if-modified-since", same)],
                &get,
                Holds,
            ),
            (
                &[("if-match", "\"b\""), ("if-none-match", "\"a\"")],
                &get,
                Failed,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for &(name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            let conditions = Preconditions::of(&headers);
            assert_eq!(conditions.is_none(), fields.is_empty());
            let checked = conditions.check(method, Some(&tag), Some(modified));
            assert_eq!(checked, expected, "{method} {fields:?}");
        }
    }

    #[test]
    fn what_does_not_exist_matches_no_star() {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        let create = Preconditions::of(&headers).check(&Method::PUT, None, None);
        assert_eq!(create, Precondition::Holds);
        headers.clear();
        headers.insert(IF_MATCH, HeaderValue::from_static("*"));
        let update = Preconditions::of(&headers).check(&Method::PUT, None, None);
        assert_eq!(update, Precondition::Failed);
    }
}
