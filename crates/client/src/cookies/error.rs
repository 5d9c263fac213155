//! Why a cookie was refused.

use std::{error::Error, fmt};

/// Why a cookie was not stored. Its text names neither the cookie nor its value.
///
/// ```
/// use bartizan_client::Jar;
///
/// let jar = Jar::new();
/// let error = jar.add(&"https://a.example.co.uk/".parse()?, "id=1; Domain=co.uk").unwrap_err();
/// assert!(error.is_domain());
/// assert_eq!(error.to_string(), "the cookie was refused: `co.uk` is a public suffix, below which strangers live");
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieError(Why);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Uri,
    Syntax(&'static str),
    TooLarge(usize),
    Domain(String),
    PublicSuffix(String),
    /// From `http`, and asks to be kept from it.
    Insecure,
    Prefix(&'static str),
    ThirdParty,
    Shadows,
}

impl CookieError {
    pub(super) const fn new(why: Why) -> Self {
        Self(why)
    }

    /// Whether it is not what RFC 6265 section 5.2 takes for a cookie.
    pub const fn is_syntax(&self) -> bool {
        matches!(self.0, Why::Syntax(_))
    }

    /// Whether it is larger than the jar takes.
    pub const fn is_too_large(&self) -> bool {
        matches!(self.0, Why::TooLarge(_))
    }

    /// Whether its `Domain` is not for whoever sent it to set.
    pub const fn is_domain(&self) -> bool {
        matches!(self.0, Why::Domain(_) | Why::PublicSuffix(_))
    }

    /// Whether it asks for a security that the connection did not have, or does not ask for what its name promises, or would hide a
    /// `Secure` cookie.
    pub const fn is_insecure(&self) -> bool {
        matches!(self.0, Why::Insecure | Why::Prefix(_) | Why::Shadows)
    }

    /// Whether it is of another site than the request was made for.
    pub const fn is_third_party(&self) -> bool {
        matches!(self.0, Why::ThirdParty)
    }
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cookie was refused: ")?;
        match &self.0 {
            Why::Uri => f.write_str("the URI it is for is not http or https with a host"),
            Why::Syntax(what) => f.write_str(what),
            Why::TooLarge(size) => write!(f, "name and value are more than {size} bytes"),
            Why::Domain(domain) => {
                write!(f, "`{domain}` is not the host that set it, nor above it")
            }
            Why::PublicSuffix(domain) => write!(
                f,
                "`{domain}` is a public suffix, below which strangers live"
            ),
            Why::Insecure => f.write_str("it is `Secure`, and came by http"),
            Why::Prefix(prefix) => write!(
                f,
                "its name promises `{prefix}`, and it does not keep to that"
            ),
            Why::ThirdParty => f.write_str("it is of another site than the request was made for"),
            Why::Shadows => f.write_str("it came by http, and would hide a `Secure` cookie"),
        }
    }
}

impl Error for CookieError {}
