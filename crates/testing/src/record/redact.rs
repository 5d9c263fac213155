//! What must not be in a recording. No sockets, no files.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde_json::Value;

use super::exchange::Data;

/// What stands in place of a secret: letters only, so that it is the same in a URI and in JSON.
pub(super) const REDACTED: &str = "REDACTED";

/// Which secrets there are.
#[derive(Clone, Debug)]
pub(super) struct Redaction {
    pub(super) headers: Vec<HeaderName>,
    pub(super) fields: Vec<String>,
    pub(super) sensitive: bool,
}

impl Default for Redaction {
    fn default() -> Self {
        let fields = [
            "access_token",
            "refresh_token",
            "id_token",
            "client_secret",
            "password",
        ];
        Self {
            headers: vec![
                header::AUTHORIZATION,
                header::PROXY_AUTHORIZATION,
                header::COOKIE,
                header::SET_COOKIE,
            ],
            fields: fields.map(str::to_owned).to_vec(),
            sensitive: true,
        }
    }
}

impl Redaction {
    pub(super) const NONE: Self = Self {
        headers: Vec::new(),
        fields: Vec::new(),
        sensitive: false,
    };

    /// What hides those fields in requests, so that they can be compared with recorded ones.
    pub(super) fn of_fields(fields: Vec<String>) -> Self {
        Self {
            fields,
            ..Self::NONE
        }
    }

    pub(super) fn headers(&self, headers: &HeaderMap) -> Vec<(String, Data)> {
        let redacted = headers
            .iter()
            .map(|(name, value)| (name.to_string(), self.header(name, value)));
        redacted.collect()
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue) -> Data {
        if self.headers.contains(name) || self.sensitive && value.is_sensitive() {
            return Data::of(REDACTED.as_bytes());
        }
        if [header::LOCATION, header::CONTENT_LOCATION, header::REFERER].contains(name) {
            if let Ok(reference) = value.to_str() {
                return Data::of(self.reference(reference).as_bytes());
            }
        }
        Data::of(value.as_bytes())
    }

    /// A URI, or the end of one. OAuth puts tokens into the fragment, too.
    fn reference(&self, text: &str) -> String {
        let (text, fragment) = match text.split_once('#') {
            Some((text, fragment)) => (text, format!("#{}", self.form(fragment))),
            None => (text, String::new()),
        };
        let redacted = match (text.parse::<Uri>(), text.split_once('?')) {
            (Ok(uri), _) if uri.authority().is_some() => self.uri(&uri),
            (_, Some((path, query))) => format!("{path}?{}", self.form(query)),
            _ => text.to_owned(),
        };
        redacted + &fragment
    }

    fn hides(&self, field: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|hidden| hidden.eq_ignore_ascii_case(field))
    }

    pub(super) fn uri(&self, uri: &Uri) -> String {
        let mut text = String::new();
        if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
            let authority = authority.as_str();
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            text = format!("{scheme}://{host}");
        } else if let Some(authority) = uri.authority() {
            let authority = authority.as_str();
            authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host)
                .clone_into(&mut text);
        }
        text.push_str(uri.path());
        if let Some(query) = uri.query() {
            text.push('?');
            text.push_str(&self.form(query));
        }
        text
    }

    /// Pairs as a query or a form has them. Those that are not hidden stay byte for byte.
    fn form(&self, pairs: &str) -> String {
        let redacted = pairs.split('&').map(|pair| {
            let name = form_urlencoded::parse(pair.as_bytes())
                .next()
                .map(|(name, _)| name);
            match (name, pair.split_once('=')) {
                (Some(name), Some((raw, _))) if self.hides(&name) => {
                    Cow::Owned(format!("{raw}={REDACTED}"))
                }
                _ => Cow::Borrowed(pair),
            }
        });
        redacted.collect::<Vec<_>>().join("&")
    }

    /// A body without its secrets. One that has none stays byte for byte.
    pub(super) fn body(&self, headers: &HeaderMap, body: &Bytes) -> Bytes {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        if kind == "application/x-www-form-urlencoded" {
            if let Ok(pairs) = std::str::from_utf8(body) {
                return self.form(pairs).into();
            }
        }
        if kind == "application/json" || kind.ends_with("+json") {
            match serde_json::from_slice(body) {
                Ok(mut value) => {
                    if self.json(&mut value) {
                        return value.to_string().into();
                    }
                }
                // What was cut short cannot be looked into. It is safe if it does not even name a secret.
                Err(_) if self.is_named_in(body) => return Bytes::from_static(REDACTED.as_bytes()),
                Err(_) => {}
            }
        }
        body.clone()
    }

    fn is_named_in(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body).to_ascii_lowercase();
        let mut fields = self.fields.iter();
        fields.any(|field| text.contains(&field.to_ascii_lowercase()))
    }

    /// Whether there was anything to hide.
    fn json(&self, value: &mut Value) -> bool {
        let mut hidden = false;
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if self.hides(name) {
                        *value = REDACTED.into();
                        hidden = true;
                    } else {
                        hidden |= self.json(value);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    hidden |= self.json(item);
                }
            }
            _ => {}
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(kind: &'static str, body: &'static str) -> Bytes {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Redaction::default().body(&headers, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn uris_keep_all_but_their_secrets() {
        let redaction = Redaction::default();
        for (uri, expected) in [
            ("/a", "/a"),
            ("http://u:p@host:80/a?b=c", "http://host:80/a?b=c"),
            (
                "http://h/?access_token=s&x=%20+&Password=t",
                "http://h/?access_token=REDACTED&x=%20+&Password=REDACTED",
            ),
            (
                "/?access%5Ftoken=s&&password",
                "/?access%5Ftoken=REDACTED&&password",
            ),
            ("u:p@host:443", "host:443"),
        ] {
            assert_eq!(redaction.uri(&uri.parse().unwrap()), expected);
        }
    }

    #[test]
    fn json_is_redacted_at_any_depth_and_kept_byte_for_byte_otherwise() {
        let secret = r#"{"a": [{"password": {"x": 1}}, {"access_token": null}], "b": 1}"#;
        assert_eq!(
            redacted("application/json; charset=utf-8", secret),
            r#"{"a":[{"password":"REDACTED"},{"access_token":"REDACTED"}],"b":1}"#
        );
        assert_eq!(
            redacted("application/problem+json", r#"[{"password":1}]"#),
            r#"[{"password":"REDACTED"}]"#
        );
        let harmless = r#"{ "b" : 1, "a" : "password" }"#;
        assert_eq!(redacted("application/json", harmless), harmless);
        // Cut short.
        assert_eq!(
            redacted("application/json", r#"{"Password":"s3c"#),
            REDACTED
        );
        assert_eq!(
            redacted("application/json", r#"{"name":"an"#),
            r#"{"name":"an"#
        );
        assert_eq!(redacted("text/plain", secret), secret);
    }

    #[test]
    fn headers_that_name_uris_are_redacted_as_uris() {
        let redaction = Redaction::default();
        for (reference, expected) in [
            (
                "https://u@h/cb?id_token=s&a=b#c",
                "https://h/cb?id_token=REDACTED&a=b#c",
            ),
            ("cb?id_token=s", "cb?id_token=REDACTED"),
            (
                "/cb#access_token=s&state=1",
                "/cb#access_token=REDACTED&state=1",
            ),
            ("../a", "../a"),
        ] {
            assert_eq!(redaction.reference(reference), expected);
        }
    }

    #[test]
    fn forms_are_redacted() {
        assert_eq!(
            redacted(
                "application/x-www-form-urlencoded",
                "grant=x&client_secret=s%26"
            ),
            "grant=x&client_secret=REDACTED"
        );
    }
}
