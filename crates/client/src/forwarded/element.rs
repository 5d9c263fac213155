//! What one hop says of itself.

use std::fmt;

use bartizan_core::ConfigError;
use http::uri::Authority;

use super::ForwardedNode;

/// One hop of a request, as `Forwarded` tells of it (RFC 7239 section 5): an extension of the request that the next hop sends.
///
/// ```
/// use bartizan_client::{ForwardedElement, ForwardedNode};
///
/// let element = ForwardedElement::new().on_behalf_of(ForwardedNode::unknown()).try_host("shop.example:8080")?;
/// assert_eq!(element.to_string(), r#"for=unknown;host="shop.example:8080""#);
/// # Ok::<(), bartizan_core::ConfigError>(())
/// ```
///
/// And back, of a request's headers:
///
/// ```
/// use bartizan_client::ForwardedElement;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("forwarded", r#"for="[2001:db8::1]:80";proto=https, for=10.0.0.7"#.parse()?);
/// let hops = ForwardedElement::parse(&headers)?;
/// assert_eq!(hops[0].client().unwrap().port(), Some(80));
/// assert_eq!(hops[1].client().unwrap().ip(), Some([10, 0, 0, 7].into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ForwardedElement {
    pub(super) client: Option<ForwardedNode>,
    pub(super) by: Option<ForwardedNode>,
    pub(super) host: Option<String>,
    pub(super) proto: Option<String>,
}

impl ForwardedElement {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `for`: who made the request that this one is made for.
    #[must_use]
    pub fn on_behalf_of(mut self, client: impl Into<ForwardedNode>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// `by`: where that request arrived.
    #[must_use]
    pub fn received_by(mut self, node: impl Into<ForwardedNode>) -> Self {
        self.by = Some(node.into());
        self
    }

    /// `host`: the `Host` of that request.
    ///
    /// # Errors
    ///
    /// If it is no host, with or without a port.
    pub fn try_host(mut self, host: &str) -> Result<Self, ConfigError> {
        if !is_host(host) {
            return Err(ConfigError::new(
                "host",
                host,
                "a host, with or without a port",
            ));
        }
        self.host = Some(host.to_owned());
        Ok(self)
    }

    /// `proto`: the scheme of that request.
    ///
    /// # Errors
    ///
    /// If it is no scheme.
    pub fn try_proto(mut self, proto: &str) -> Result<Self, ConfigError> {
        if !is_scheme(proto) {
            return Err(ConfigError::new("proto", proto, "a scheme such as `https`"));
        }
        self.proto = Some(proto.to_owned());
        Ok(self)
    }

    /// `for`.
    pub const fn client(&self) -> Option<&ForwardedNode> {
        self.client.as_ref()
    }

    /// `by`.
    pub const fn by(&self) -> Option<&ForwardedNode> {
        self.by.as_ref()
    }

    /// `host`.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// `proto`.
    pub fn proto(&self) -> Option<&str> {
        self.proto.as_deref()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

pub(crate) fn is_host(host: &str) -> bool {
    !host.contains('@')
        && host
            .parse::<Authority>()
            .is_ok_and(|authority| !authority.host().is_empty())
}

/// RFC 3986 section 3.1.
pub(super) fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// As `Forwarded` has it.
impl fmt::Display for ForwardedElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |node: &Option<ForwardedNode>| node.as_ref().map(ToString::to_string);
        let pairs = [
            ("for", node(&self.client)),
            ("by", node(&self.by)),
            ("host", self.host.clone()),
            ("proto", self.proto.clone()),
        ];
        let mut separator = "";
        for (name, value) in pairs {
            let Some(value) = value else { continue };
            // None of them has a quotation mark or a backslash in it, which would have to be escaped.
            if value.bytes().all(is_token) {
                write!(f, "{separator}{name}={value}")?;
            } else {
                write!(f, "{separator}{name}=\"{value}\"")?;
            }
            separator = ";";
        }
        Ok(())
    }
}

/// RFC 9110 section 5.6.2.
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    ) || byte.is_ascii_alphanumeric()
}
