//! What a connector is asked to connect to.

use http::Uri;

/// Where a connection is to go, as far as TLS has to know.
pub trait Target {
    /// The host name or IP address that the server has to prove to be, without port and brackets.
    fn server_name(&self) -> &str;

    /// Whether there is to be TLS at all.
    fn is_tls(&self) -> bool;

    /// The application protocols (ALPN) to offer instead of those of the settings, in order of preference: a WebSocket client, say,
    /// that can only use `http/1.1`.
    fn alpn(&self) -> Option<Vec<Vec<u8>>> {
        None
    }
}

/// TLS for `https` and `wss`; the host as it stands in the authority.
impl Target for Uri {
    fn server_name(&self) -> &str {
        let host = self.host().unwrap_or_default();
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    fn is_tls(&self) -> bool {
        matches!(self.scheme_str(), Some("https" | "wss"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_a_target() {
        for (uri, name, tls) in [
            ("https://a.test:8443/x", "a.test", true),
            ("wss://a.test", "a.test", true),
            ("http://a.test", "a.test", false),
            ("https://[::1]:8443/", "::1", true),
            ("https://127.0.0.1", "127.0.0.1", true),
            ("/x", "", false),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!((uri.server_name(), uri.is_tls()), (name, tls), "{uri}");
        }
    }
}
