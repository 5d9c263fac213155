//! Which proxy for which origin.

use std::{env, fmt, sync::Arc};

use bartizan_core::ConfigError;

use super::{HostSet, Proxy, Route};
use crate::connect::Destination;

/// Which connections go through which proxy. Cheap to clone.
///
/// In this order: what the [bypass](Self::bypass) has goes directly; then the [rules](Self::only) are asked, the first that was added first;
/// then the proxy for the [scheme](Self::http), then the one for [all](Self::all). What is left goes directly.
///
/// ```
/// use bartizan_client::{connect::Destination, proxy::Proxies};
///
/// let proxies = Proxies::new()
///     .only("partner.example".parse()?, "socks5h://10.0.0.9".parse()?)
///     .all("http://proxy.corp.example:3128".parse()?)
///     .bypass("localhost, corp.example, 10.0.0.0/8".parse()?);
///
/// let via = |uri: &str| {
///     let destination = Destination::of(&uri.parse().unwrap()).unwrap();
///     proxies.for_destination(&destination).map(|proxy| proxy.to_string())
/// };
/// assert_eq!(via("https://example.com/").as_deref(), Some("http://proxy.corp.example:3128"));
/// assert_eq!(via("https://api.partner.example/").as_deref(), Some("socks5h://10.0.0.9:1080"));
/// assert_eq!(via("http://10.1.2.3/"), None);
/// # Ok::<_, bartizan_core::ConfigError>(())
/// ```
///
/// The environment, read once:
///
/// ```
/// use bartizan_client::proxy::Proxies;
///
/// let proxies = Proxies::try_from_vars(|name| match name {
///     "https_proxy" => Some("http://127.0.0.1:3128".into()),
///     "NO_PROXY" => Some("localhost".into()),
///     _ => None,
/// })?;
/// assert!(!proxies.is_empty());
/// # Ok::<_, bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<Rules>);

#[derive(Clone, Default)]
struct Rules {
    bypass: HostSet,
    rules: Vec<Rule>,
    http: Option<Proxy>,
    https: Option<Proxy>,
    all: Option<Proxy>,
}

#[derive(Clone)]
enum Rule {
    Only(HostSet, Proxy),
    Custom(Custom),
}

type Custom = Arc<dyn Fn(&Destination) -> Option<Route> + Send + Sync>;

impl Proxies {
    /// None: everything goes directly.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of the environment, as curl reads it.
    ///
    /// `http_proxy` for http, `https_proxy` for https, `all_proxy` for what has none, `no_proxy` for what goes directly, as a
    /// [`HostSet`]. Each in lower case, or else in upper case; an empty one is none. Where `REQUEST_METHOD` is set this may be a CGI
    /// script, to which a caller's header `Proxy` would come as `HTTP_PROXY`: that one is not read then (CVE-2016-5385).
    ///
    /// # Errors
    ///
    /// If one cannot be read as what it stands for: the error names it. Going on without would send directly what should not be.
    pub fn try_from_env() -> Result<Self, ConfigError> {
        Self::try_from_vars(|name| env::var(name).ok())
    }

    /// The same, of variables that `get` knows.
    ///
    /// # Errors
    ///
    /// As [`try_from_env`](Self::try_from_env).
    pub fn try_from_vars(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name: &'static str| {
            let value = get(name)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (name, value.to_owned()))
        };
        let proxy = |found: Option<(&'static str, String)>| {
            found
                .map(|(name, url)| Proxy::try_new(&url).map_err(|error| error.in_field(name)))
                .transpose()
        };
        let http = match get("REQUEST_METHOD") {
            None => given("http_proxy").or_else(|| given("HTTP_PROXY")),
            // There, the two are one.
            Some(_) if cfg!(windows) => None,
            Some(_) => given("http_proxy"),
        };
        let https = given("https_proxy").or_else(|| given("HTTPS_PROXY"));
        let all = given("all_proxy").or_else(|| given("ALL_PROXY"));
        let bypass = match given("no_proxy").or_else(|| given("NO_PROXY")) {
            Some((name, hosts)) => hosts
                .parse()
                .map_err(|error: ConfigError| error.in_field(name))?,
            None => HostSet::new(),
        };
        Ok(Self(Arc::new(Rules {
            bypass,
            rules: Vec::new(),
            http: proxy(http)?,
            https: proxy(https)?,
            all: proxy(all)?,
        })))
    }

    /// Sets the proxy for `http` origins.
    #[must_use]
    pub fn http(self, proxy: Proxy) -> Self {
        self.with(|rules| rules.http = Some(proxy))
    }

    /// Sets the proxy for `https` origins.
    #[must_use]
    pub fn https(self, proxy: Proxy) -> Self {
        self.with(|rules| rules.https = Some(proxy))
    }

    /// Sets the proxy for every origin that has no other.
    #[must_use]
    pub fn all(self, proxy: Proxy) -> Self {
        self.with(|rules| rules.all = Some(proxy))
    }

    /// Sets the hosts that go directly, instead of those there were.
    #[must_use]
    pub fn bypass(self, hosts: HostSet) -> Self {
        self.with(|rules| rules.bypass = hosts)
    }

    /// Adds a proxy for these hosts alone.
    #[must_use]
    pub fn only(self, hosts: HostSet, proxy: Proxy) -> Self {
        self.with(|rules| rules.rules.push(Rule::Only(hosts, proxy)))
    }

    /// Adds a rule of one's own, which says `None` where it has nothing to say.
    ///
    /// It has to answer the same for the same [`Destination`] at any time: connections that are kept are not asked about again.
    #[must_use]
    pub fn rule(
        self,
        rule: impl Fn(&Destination) -> Option<Route> + Send + Sync + 'static,
    ) -> Self {
        self.with(|rules| rules.rules.push(Rule::Custom(Arc::new(rule))))
    }

    /// Whether everything goes directly.
    pub fn is_empty(&self) -> bool {
        let rules = &*self.0;
        rules.rules.is_empty()
            && rules.http.is_none()
            && rules.https.is_none()
            && rules.all.is_none()
    }

    /// The proxy for a destination, or `None` if it is reached directly.
    ///
    /// What the destination's own options say comes first; a Unix socket is always reached directly.
    pub fn for_destination(&self, destination: &Destination) -> Option<Proxy> {
        if let Some(options) = destination.options() {
            if options.get_unix_socket().is_some() {
                return None;
            }
            match options.get_route() {
                Some(Route::Via(proxy)) => return Some(proxy.clone()),
                Some(Route::Direct) => return None,
                None => {}
            }
        }
        let rules = &*self.0;
        let (host, port) = (destination.host(), destination.port());
        if rules.bypass.contains(host, port) {
            return None;
        }
        for rule in &rules.rules {
            match rule {
                Rule::Only(hosts, proxy) if hosts.contains(host, port) => {
                    return Some(proxy.clone());
                }
                Rule::Only(..) => {}
                Rule::Custom(rule) => match rule(destination) {
                    Some(Route::Via(proxy)) => return Some(proxy),
                    Some(Route::Direct) => return None,
                    None => {}
                },
            }
        }
        let by_scheme = if destination.is_https() {
            &rules.https
        } else {
            &rules.http
        };
        by_scheme.as_ref().or(rules.all.as_ref()).cloned()
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("bypass", &self.bypass)
            .field("rules", &self.rules)
            .field("http", &self.http)
            .field("https", &self.https)
            .field("all", &self.all)
            .finish()
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(hosts, proxy) => f.debug_tuple("Only").field(hosts).field(proxy).finish(),
            Self::Custom(_) => f.debug_tuple("Custom").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::connect::ConnectOptions;

    fn vars(vars: &'static [(&str, &str)]) -> Result<Proxies, ConfigError> {
        Proxies::try_from_vars(|name| {
            let found = vars.iter().find(|(own, _)| *own == name)?;
            Some(found.1.to_owned())
        })
    }

    fn to(uri: &str) -> Destination {
        Destination::of(&uri.parse().expect("a URI")).expect("a destination")
    }

    fn via(proxies: &Proxies, uri: &str) -> Option<String> {
        let proxy = proxies.for_destination(&to(uri))?;
        Some(proxy.to_string())
    }

    #[test]
    fn the_environment_is_read_as_curl_does() {
        type Case = (
            &'static [(&'static str, &'static str)],
            Option<&'static str>,
            Option<&'static str>,
        );
        let cases: &[Case] = &[
            (&[], None, None),
            (&[("http_proxy", "http://p:1")], Some("http://p:1"), None),
            (&[("HTTP_PROXY", "http://p:1")], Some("http://p:1"), None),
            (
                &[("http_proxy", ""), ("HTTP_PROXY", "p:2")],
                Some("http://p:2"),
                None,
            ),
            (
                &[("http_proxy", "p:1"), ("HTTP_PROXY", "p:2")],
                Some("http://p:1"),
                None,
            ),
            (
                &[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")],
                None,
                None,
            ),
            (
                &[("http_proxy", "p:1"), ("REQUEST_METHOD", "GET")],
                Some("http://p:1"),
                None,
            ),
            (
                &[("HTTPS_PROXY", "socks5://p")],
                None,
                Some("socks5://p:1080"),
            ),
            (
                &[("all_proxy", "p:1")],
                Some("http://p:1"),
                Some("http://p:1"),
            ),
            (
                &[("ALL_PROXY", "p:1"), ("https_proxy", "p:2")],
                Some("http://p:1"),
                Some("http://p:2"),
            ),
            (
                &[("all_proxy", "p:1"), ("no_proxy", "example.com")],
                None,
                None,
            ),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "*")], None, None),
            (
                &[("all_proxy", "p:1"), ("no_proxy", "example.com:443")],
                Some("http://p:1"),
                None,
            ),
        ];
        for (given, http, https) in cases {
            let proxies = vars(given).expect("good ones");
            assert_eq!(
                via(&proxies, "http://example.com/").as_deref(),
                *http,
                "{given:?}"
            );
            assert_eq!(
                via(&proxies, "https://example.com/").as_deref(),
                *https,
                "{given:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (given, field) in [
            (&[("HTTPS_PROXY", "gopher://me:secret@p")], "HTTPS_PROXY"),
            (&[("no_proxy", "10.0.0.0/99")], "no_proxy"),
        ] {
            let error = vars(given).expect_err("bad");
            assert_eq!(error.field(), field);
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn what_a_request_says_comes_first() {
        let proxies = Proxies::new()
            .all("p:1".parse().expect("a proxy"))
            .bypass("inside.example".parse().expect("a set"));
        let options = ConnectOptions::new();
        let own = options.clone().proxy("own:2".parse().expect("a proxy"));
        let ask = |uri, options: ConnectOptions| {
            let destination = to(uri).with_options(Some(options));
            let proxy = proxies.for_destination(&destination);
            proxy.map(|proxy| proxy.to_string())
        };
        assert_eq!(
            ask("http://a/", options.clone()).as_deref(),
            Some("http://p:1")
        );
        assert_eq!(
            ask("http://inside.example/", own).as_deref(),
            Some("http://own:2")
        );
        assert_eq!(ask("http://a/", options.clone().direct()), None);
        assert_eq!(
            ask("http://a/", options.unix_socket(std::path::Path::new("/s"))),
            None
        );
    }

    #[test]
    fn rules_come_in_their_order() {
        let proxies = Proxies::new()
            .rule(|to| (to.port() == 81).then_some(Route::Direct))
            .only(
                "a.example".parse().expect("a set"),
                "one:1".parse().expect("a proxy"),
            )
            .http("rest:1".parse().expect("a proxy"));
        assert_eq!(
            via(&proxies, "http://a.example/").as_deref(),
            Some("http://one:1")
        );
        assert_eq!(via(&proxies, "http://a.example:81/"), None);
        assert_eq!(
            via(&proxies, "http://b.example/").as_deref(),
            Some("http://rest:1")
        );
        assert_eq!(via(&proxies, "https://b.example/"), None);
        assert!(!proxies.is_empty() && Proxies::new().is_empty());
    }
}
