//! A set of HTTP status codes.

use std::{fmt, str::FromStr};

use http::StatusCode;

use crate::ConfigError;

const WORDS: usize = 16;
const EXPECTED: &str = "status codes from 100 to 999, such as `502, 504` or `501-504`";

/// A set of HTTP status codes. Asking it is one shift; it is `Copy` and holds no allocation.
///
/// ```
/// use bartizan_core::StatusSet;
/// use http::StatusCode;
///
/// let codes: StatusSet = "429, 501-504".parse()?;
/// assert!(codes.contains(StatusCode::BAD_GATEWAY));
/// assert!(!codes.contains(StatusCode::INTERNAL_SERVER_ERROR));
/// assert_eq!(codes, StatusSet::try_from([429, 501, 502, 503, 504])?);
///
/// assert_eq!(
///     "500, 5000".parse::<StatusSet>().unwrap_err().to_string(),
///     "invalid statuses `5000`: expected status codes from 100 to 999, such as `502, 504` or `501-504`"
/// );
/// # Ok::<(), bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusSet([u64; WORDS]);

impl StatusSet {
    /// No code at all.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Every 5xx code.
    pub const SERVER_ERRORS: Self = Self::EMPTY.with_range(500, 599);

    /// The codes from `first` to `last`, both included.
    ///
    /// # Panics
    ///
    /// If they are not in order within 100 to 999. In a `const`, that is a compile error. What comes from a configuration goes
    /// through [`str::parse`] or [`TryFrom`].
    pub const fn range(first: u16, last: u16) -> Self {
        assert!(
            100 <= first && first <= last && last <= 999,
            "status codes are from 100 to 999, the first not above the last"
        );
        Self::EMPTY.with_range(first, last)
    }

    /// This set, and `code` as well.
    #[must_use]
    pub fn with(self, code: StatusCode) -> Self {
        self.with_range(code.as_u16(), code.as_u16())
    }

    /// Whether `code` is in the set.
    pub fn contains(&self, code: StatusCode) -> bool {
        let code = usize::from(code.as_u16());
        self.0[code / 64] & (1 << (code % 64)) != 0
    }

    /// Whether no code is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The codes in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = StatusCode> + '_ {
        (100..1000)
            .filter_map(|code| StatusCode::from_u16(code).ok())
            .filter(|code| self.contains(*code))
    }

    const fn with_range(mut self, first: u16, last: u16) -> Self {
        let mut code = first as usize;
        while code <= last as usize {
            self.0[code / 64] |= 1 << (code % 64);
            code += 1;
        }
        self
    }

    /// The set, for where no status at all cannot be what was meant.
    ///
    /// # Errors
    ///
    /// If the set is empty.
    pub fn non_empty(self) -> Result<Self, ConfigError> {
        if self.is_empty() {
            return Err(ConfigError::new(
                "statuses",
                "[]",
                format!("at least one of the {EXPECTED}"),
            ));
        }
        Ok(self)
    }
}

/// Fails on a code outside 100 to 999, and on an empty list, which never is what was meant.
impl<const N: usize> TryFrom<[u16; N]> for StatusSet {
    type Error = ConfigError;

    fn try_from(codes: [u16; N]) -> Result<Self, ConfigError> {
        Self::try_from(codes.as_slice())
    }
}

/// Fails on a code outside 100 to 999, and on an empty list, which never is what was meant.
impl TryFrom<&[u16]> for StatusSet {
    type Error = ConfigError;

    fn try_from(codes: &[u16]) -> Result<Self, ConfigError> {
        codes
            .iter()
            .try_fold(Self::EMPTY, |set, &code| match code {
                100..=999 => Ok(set.with_range(code, code)),
                _ => Err(ConfigError::new("statuses", code, EXPECTED)),
            })?
            .non_empty()
    }
}

/// Reads codes and ranges, separated by commas: `429, 501-504`.
impl FromStr for StatusSet {
    type Err = ConfigError;

    fn from_str(s: &str) -> Result<Self, ConfigError> {
        let code = |text: &str| Some(text.trim().parse::<StatusCode>().ok()?.as_u16());
        s.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .try_fold(Self::EMPTY, |set, item| {
                let (first, last) = item.split_once('-').unwrap_or((item, item));
                match (code(first), code(last)) {
                    (Some(first), Some(last)) if first <= last => Ok(set.with_range(first, last)),
                    _ => Err(ConfigError::new("statuses", item, EXPECTED)),
                }
            })?
            .non_empty()
    }
}

/// The same as [`FromStr`].
impl TryFrom<&str> for StatusSet {
    type Error = ConfigError;

    fn try_from(s: &str) -> Result<Self, ConfigError> {
        s.parse()
    }
}

impl FromIterator<StatusCode> for StatusSet {
    fn from_iter<I: IntoIterator<Item = StatusCode>>(codes: I) -> Self {
        codes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|code| code.as_u16()))
            .finish()
    }
}
