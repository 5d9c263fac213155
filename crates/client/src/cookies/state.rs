//! All cookies of a jar: a pure state that is told the time.

use std::{collections::HashMap, fmt::Write, time::SystemTime};

use super::{
    Cookie, CookieError, CookieRequest, SameSite, ThirdParty,
    domain::{self, Origin},
    error::Why,
    set_cookie::SetCookie,
};

/// How many cookies are kept, and how large they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) per_site: usize,
    pub(super) total: usize,
    pub(super) size: usize,
    pub(super) third_party: ThirdParty,
}

/// Cookies by the site that owns them, so that a request looks at those of one owner alone.
#[derive(Debug)]
pub(super) struct State {
    limits: Limits,
    sites: HashMap<String, Vec<Entry>>,
    total: usize,
    /// Orders what wall time does not: cookies of one response, and clocks that are set back.
    ticks: u64,
}

#[derive(Debug)]
struct Entry {
    cookie: Cookie,
    created: u64,
    used: u64,
}

/// What the site of a request allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    All,
    /// A navigation from another site.
    Navigation {
        is_safe: bool,
    },
    /// On behalf of another site.
    Foreign,
    Nothing,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            sites: HashMap::new(),
            total: 0,
            ticks: 0,
        }
    }

    /// The pairs for a request, longest path first, then the oldest (RFC 6265 section 5.4). Empty for none.
    pub(super) fn header(&mut self, request: &CookieRequest<'_>, now: SystemTime) -> String {
        let mut header = String::new();
        // Nothing is asked about the host of each request by those who never see a cookie.
        if self.total == 0 {
            return header;
        }
        let Some(origin) = Origin::of(request.uri) else {
            return header;
        };
        let access = access(request, &origin, self.limits.third_party);
        let Some(entries) = self.sites.get_mut(domain::site(&origin.host)) else {
            return header;
        };
        let mut matching: Vec<&mut Entry> = entries
            .iter_mut()
            .filter(|entry| entry.cookie.is_for(&origin, now) && access.sends(&entry.cookie))
            .collect();
        matching.sort_by_key(|entry| (usize::MAX - entry.cookie.path.len(), entry.created));
        for entry in matching {
            self.ticks += 1;
            entry.used = self.ticks;
            entry.cookie.last_access = now;
            let separator = if header.is_empty() { "" } else { "; " };
            let Cookie { name, value, .. } = &entry.cookie;
            write!(header, "{separator}{name}={value}").expect("a string takes all");
        }
        header
    }

    /// Takes one value of `Set-Cookie` (RFC 6265 section 5.3, with what 6265bis has added).
    pub(super) fn set(
        &mut self,
        request: &CookieRequest<'_>,
        field: &[u8],
        now: SystemTime,
    ) -> Result<(), CookieError> {
        let fail = |why| Err(CookieError::new(why));
        let Some(origin) = Origin::of(request.uri) else {
            return fail(Why::Uri);
        };
        let access = access(request, &origin, self.limits.third_party);
        if access == Access::Nothing {
            return fail(Why::ThirdParty);
        }
        let set = SetCookie::parse(field, self.limits.size)?;
        let expires = set.expires_at(now);
        let (domain, host_only) = owner(set.domain.as_deref(), &origin)?;
        keeps_its_promise(&set)?;
        if set.secure && !origin.is_secure {
            return fail(Why::Insecure);
        }
        let cookie = Cookie {
            name: set.name,
            value: set.value,
            domain,
            host_only,
            path: set
                .path
                .flatten()
                .unwrap_or_else(|| origin.default_path().to_owned()),
            secure: set.secure,
            http_only: set.http_only,
            // What may go everywhere is not to go there in the open.
            same_site: set
                .same_site
                .filter(|to| *to != SameSite::None || set.secure),
            expires,
            created: now,
            last_access: now,
        };
        if access == Access::Foreign && cookie.same_site != Some(SameSite::None) {
            return fail(Why::ThirdParty);
        }
        if !origin.is_secure && self.shadows_a_secure_one(&cookie) {
            return fail(Why::Shadows);
        }
        self.put(cookie, now);
        Ok(())
    }

    /// Whether a cookie that came by `http` would stand in for a `Secure` one (RFC 6265bis section 5.7).
    fn shadows_a_secure_one(&self, new: &Cookie) -> bool {
        let Some(entries) = self.sites.get(domain::site(&new.domain)) else {
            return false;
        };
        entries.iter().any(|Entry { cookie: old, .. }| {
            old.secure
                && old.name == new.name
                && (domain::domain_matches(&old.domain, &new.domain)
                    || domain::domain_matches(&new.domain, &old.domain))
                && domain::path_matches(&new.path, &old.path)
        })
    }

    /// Puts a cookie in place of the one of its identity. One that has expired only removes that.
    pub(super) fn put(&mut self, mut cookie: Cookie, now: SystemTime) {
        let replaced = self.remove(&cookie.domain, &cookie.path, &cookie.name);
        if cookie.is_expired(now) {
            return;
        }
        self.ticks += 1;
        let mut created = self.ticks;
        if let Some((old, tick)) = replaced {
            cookie.created = old.created;
            created = tick;
        }
        let limits = self.limits;
        let site = domain::site(&cookie.domain).to_owned();
        let entries = self.sites.entry(site).or_default();
        if entries.len() >= limits.per_site {
            let before = entries.len();
            entries.retain(|entry| !entry.cookie.is_expired(now));
            if entries.len() >= limits.per_site {
                let oldest = (0..entries.len()).min_by_key(|at| entries[*at].used);
                oldest.map(|oldest| entries.swap_remove(oldest));
            }
            self.total -= before - entries.len();
        }
        entries.push(Entry {
            cookie,
            created,
            used: self.ticks,
        });
        self.total += 1;
        if self.total > limits.total {
            self.remove_expired(now);
        }
        if self.total > limits.total {
            self.evict();
        }
    }

    /// Removes the cookie that was not used for longest.
    fn evict(&mut self) {
        let all = self.sites.iter().flat_map(|(site, entries)| {
            entries
                .iter()
                .enumerate()
                .map(move |(at, entry)| (entry.used, site, at))
        });
        let Some((_, site, at)) = all.min() else {
            return;
        };
        let site = site.clone();
        if let Some(entries) = self.sites.get_mut(&site) {
            entries.swap_remove(at);
            self.total -= 1;
            if entries.is_empty() {
                self.sites.remove(&site);
            }
        }
    }

    pub(super) fn remove(&mut self, domain: &str, path: &str, name: &str) -> Option<(Cookie, u64)> {
        let site = domain::site(domain);
        let entries = self.sites.get_mut(site)?;
        let at = entries
            .iter()
            .position(|entry| entry.cookie.is(name, domain, path))?;
        let entry = entries.swap_remove(at);
        if entries.is_empty() {
            self.sites.remove(site);
        }
        self.total -= 1;
        Some((entry.cookie, entry.created))
    }

    /// Keeps what is `wanted`. How many were not.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&Cookie) -> bool) -> usize {
        let before = self.total;
        self.sites.retain(|_, entries| {
            entries.retain(|entry| wanted(&entry.cookie));
            !entries.is_empty()
        });
        self.total = self.sites.values().map(Vec::len).sum();
        before - self.total
    }

    pub(super) fn remove_expired(&mut self, now: SystemTime) -> usize {
        self.retain(|cookie| !cookie.is_expired(now))
    }

    pub(super) fn count(&self, now: SystemTime) -> usize {
        let entries = self.sites.values().flatten();
        entries
            .filter(|entry| !entry.cookie.is_expired(now))
            .count()
    }

    /// Those that have not expired, the oldest first.
    pub(super) fn all(&self, now: SystemTime, wanted: impl Fn(&Cookie) -> bool) -> Vec<Cookie> {
        let entries = self.sites.values().flatten();
        let mut found: Vec<&Entry> = entries
            .filter(|entry| !entry.cookie.is_expired(now) && wanted(&entry.cookie))
            .collect();
        found.sort_by_key(|entry| entry.created);
        found
            .into_iter()
            .map(|entry| entry.cookie.clone())
            .collect()
    }
}

impl Cookie {
    fn is_for(&self, origin: &Origin<'_>, now: SystemTime) -> bool {
        let is_for_host = if self.host_only {
            self.domain == origin.host
        } else {
            domain::domain_matches(&origin.host, &self.domain)
        };
        is_for_host
            && domain::path_matches(origin.path, &self.path)
            && (!self.secure || origin.is_secure)
            && !self.is_expired(now)
    }
}

impl Access {
    const fn sends(self, cookie: &Cookie) -> bool {
        match (self, cookie.same_site) {
            (Self::All, _)
            | (Self::Navigation { .. } | Self::Foreign, Some(SameSite::None))
            | (Self::Navigation { is_safe: true }, Some(SameSite::Lax) | None) => true,
            (Self::Navigation { .. } | Self::Foreign | Self::Nothing, _) => false,
        }
    }
}

fn access(request: &CookieRequest<'_>, origin: &Origin<'_>, third_party: ThirdParty) -> Access {
    let Some(asking) = request.site else {
        return Access::All;
    };
    // A page without a host, such as one from a file, is of no site.
    let is_same_site = Origin::of(&asking.uri).is_some_and(|page| {
        page.is_https == origin.is_https && domain::site(&page.host) == domain::site(&origin.host)
    });
    match third_party {
        _ if is_same_site => Access::All,
        _ if asking.is_navigation => Access::Navigation {
            is_safe: request.method.is_safe(),
        },
        ThirdParty::Block => Access::Nothing,
        ThirdParty::Allow => Access::Foreign,
    }
}

/// Whose a cookie is: the domain, and whether it is for that host alone.
fn owner(domain: Option<&str>, origin: &Origin<'_>) -> Result<(String, bool), CookieError> {
    let host = &*origin.host;
    let Some(domain) = domain else {
        return Ok((host.to_owned(), true));
    };
    let stranger = || CookieError::new(Why::Domain(domain.to_owned()));
    let ascii = domain::to_ascii(domain).ok_or_else(stranger)?;
    if domain::is_public_suffix(&ascii) {
        // A host that is one itself can have cookies, for itself.
        return if ascii == host {
            Ok((host.to_owned(), true))
        } else {
            Err(CookieError::new(Why::PublicSuffix(domain.to_owned())))
        };
    }
    if !domain::domain_matches(host, &ascii) {
        return Err(stranger());
    }
    Ok((ascii.into_owned(), false))
}

/// What a name begins with may be relied on by whoever reads the cookie (RFC 6265bis section 4.1.3).
fn keeps_its_promise(set: &SetCookie) -> Result<(), CookieError> {
    let has = |prefix: &str| {
        let start = set.name.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let is_host = has("__Host-");
    if is_host && !(set.secure && set.domain.is_none() && set.path == Some(Some("/".to_owned()))) {
        return Err(CookieError::new(Why::Prefix("__Host-")));
    }
    if has("__Secure-") && !set.secure {
        return Err(CookieError::new(Why::Prefix("__Secure-")));
    }
    Ok(())
}
