//! Headers that are kept in case they are needed again.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of a request that may have to be sent again. Most never are: a list is one allocation and no hashing, and a clone of the map
/// would be two or three of the one and all of the other once more when it is dropped.
pub(crate) struct KeptHeaders(Vec<(HeaderName, HeaderValue)>);

impl KeptHeaders {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let pairs = headers.iter();
        Self(
            pairs
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    /// The map they were in: those of one name in their order.
    pub(crate) fn to_map(&self) -> HeaderMap {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_there_was() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("a", "1"),
            ("b", "2"),
            ("a", "3"),
            ("authorization", "secret"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let secret = headers.get_mut("authorization").expect("it is there");
        secret.set_sensitive(true);
        let map = KeptHeaders::of(&headers).to_map();
        assert_eq!(map, headers);
        assert!(map["authorization"].is_sensitive());
        let values: Vec<_> = map.get_all("a").iter().collect();
        assert_eq!(values, ["1", "3"]);
    }
}
