//! What stands between parts.

use std::hash::{BuildHasher, Hasher, RandomState};

use bartizan_core::ConfigError;

/// A delimiter by RFC 2046 section 5.1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boundary(String);

impl Boundary {
    /// One that nobody can guess, or it could be put into a field to end it: hashes under a key of the system's. 128 bits, so that
    /// it occurs in no part by chance either.
    pub(super) fn random() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(format!("{:016x}{:016x}", random(), random()))
    }

    /// The caller's own.
    pub(super) fn new(boundary: String) -> Result<Self, ConfigError> {
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        let is_valid = (1..=70).contains(&boundary.len())
            && boundary.bytes().all(is_allowed)
            && !boundary.ends_with(' ');
        if !is_valid {
            return Err(ConfigError::new(
                "boundary",
                boundary.escape_debug(),
                "1 to 70 of the letters, digits and signs of RFC 2046 section 5.1.1, the last of them no space",
            ));
        }
        Ok(Self(boundary))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As the parameter of a `Content-Type`: in quotes if it is no token.
    pub(super) fn parameter(&self) -> String {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"'+_-.".contains(&byte);
        if self.0.bytes().all(is_token) {
            self.0.clone()
        } else {
            format!("\"{}\"", self.0)
        }
    }

    /// Whether `data` has the delimiter in it, and so cannot be a part.
    pub(super) fn occurs_in(&self, data: &[u8]) -> bool {
        let boundary = self.0.as_bytes();
        data.windows(boundary.len())
            .any(|window| window == boundary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_checked_and_quoted() {
        for (boundary, parameter) in [
            ("simple", "simple"),
            ("gc0pJq0M:08jU534c0p", "\"gc0pJq0M:08jU534c0p\""),
            ("a b", "\"a b\""),
            ("'+_-.", "'+_-."),
        ] {
            let checked = Boundary::new(boundary.to_owned()).expect("allowed");
            assert_eq!(checked.parameter(), parameter);
        }
        for boundary in ["", "a ", "a\r\nb", "a\"b", "ä", &"x".repeat(71)] {
            let error = Boundary::new(boundary.to_owned()).expect_err("not allowed");
            assert_eq!(error.field(), "boundary");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (Boundary::random(), Boundary::random());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 32);
        Boundary::new(one.as_str().to_owned()).expect("allowed");
    }

    #[test]
    fn a_boundary_is_found_in_a_part() {
        let boundary = Boundary::new("xyz".to_owned()).expect("allowed");
        for (data, occurs) in [("", false), ("xy", false), ("xyz", true), ("wxyxyzz", true)] {
            assert_eq!(boundary.occurs_in(data.as_bytes()), occurs, "{data}");
        }
    }
}
