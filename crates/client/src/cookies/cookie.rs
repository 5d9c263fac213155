//! A cookie as a jar keeps it.

use std::{fmt, time::SystemTime};

/// Where a cookie goes when another site asks for it (RFC 6265bis section 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SameSite {
    /// Nowhere but within its own site.
    Strict,
    /// With a navigation from another site as well, by a safe method.
    Lax,
    /// Everywhere. Only with `Secure`; without, it counts for nothing.
    None,
}

impl SameSite {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Strict, Self::Lax, Self::None]
            .into_iter()
            .find(|same_site| same_site.name().eq_ignore_ascii_case(name))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Lax => "lax",
            Self::None => "none",
        }
    }
}

/// A cookie as a [`Jar`](super::Jar) keeps it.
///
/// `Debug` leaves out its value, which is what a session is stolen with.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) domain: String,
    pub(super) host_only: bool,
    pub(super) path: String,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<SameSite>,
    pub(super) expires: Option<SystemTime>,
    pub(super) created: SystemTime,
    pub(super) last_access: SystemTime,
}

impl Cookie {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, with its quotation marks if it came with them.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The host it belongs to, in lower case and without a leading dot.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether it is for that host alone, and not for those below it.
    pub const fn is_host_only(&self) -> bool {
        self.host_only
    }

    /// The path it is for, and those below it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is kept from `http`.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether scripts of a page are kept from it. Here it only is on record.
    pub const fn is_http_only(&self) -> bool {
        self.http_only
    }

    /// Where it goes when another site asks. `None` if it did not say, which counts as [`Lax`](SameSite::Lax).
    pub const fn same_site(&self) -> Option<SameSite> {
        self.same_site
    }

    /// When it ends. `None` for a cookie of the session, which ends with it.
    pub const fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// When it was first set. One that replaces another keeps the other's time.
    pub const fn created(&self) -> SystemTime {
        self.created
    }

    /// When it was last set or sent.
    pub const fn last_access(&self) -> SystemTime {
        self.last_access
    }

    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Name, domain and path are what a cookie is told from others by (RFC 6265 section 5.3).
    pub(super) fn is(&self, name: &str, domain: &str, path: &str) -> bool {
        self.name == name && self.domain == domain && self.path == path
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("host_only", &self.host_only)
            .field("path", &self.path)
            .field("secure", &self.secure)
            .field("http_only", &self.http_only)
            .field("same_site", &self.same_site)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
