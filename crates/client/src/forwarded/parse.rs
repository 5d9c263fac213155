//! Reads what others have forwarded.

use std::{error::Error, fmt};

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::{
    ForwardedElement, ForwardedNode,
    element::{is_host, is_scheme, is_token},
};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// More hops than any request has taken, and few enough to be copied by each.
const MAX_HOPS: usize = 64;

/// Why a `Forwarded` header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedError(&'static str);

impl fmt::Display for ForwardedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the `Forwarded` header {}", self.0)
    }
}

impl Error for ForwardedError {}

impl ForwardedElement {
    /// Reads `Forwarded`, all fields of that name together: the hop that is farthest first. Parameters that RFC 7239 does not name are
    /// passed over.
    ///
    /// # Errors
    ///
    /// If one is not by the rules of RFC 7239 section 4, or there are more than 64 hops.
    pub fn parse(headers: &HeaderMap) -> Result<Vec<Self>, ForwardedError> {
        let mut elements = Vec::new();
        for value in headers.get_all(FORWARDED) {
            let mut rest = value.as_bytes();
            while !rest.is_empty() {
                let (element, after) = element(rest)?;
                rest = after;
                // A list may have members that are empty (RFC 9110 section 5.6.1).
                let Some(element) = element else { continue };
                if elements.len() == MAX_HOPS {
                    return Err(ForwardedError("has more than 64 hops"));
                }
                elements.push(element);
            }
        }
        Ok(elements)
    }

    /// Makes of `X-Forwarded-*` what it says. The last 64 hops of those that are told: the first ones are the least certain.
    pub(super) fn of_legacy(headers: &HeaderMap) -> Vec<Self> {
        let mut clients = Vec::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            for entry in String::from_utf8_lossy(value.as_bytes()).split(',') {
                if clients.len() == MAX_HOPS {
                    clients.remove(0);
                }
                clients.push(ForwardedNode::of_legacy(entry.trim()));
            }
        }
        let first = |name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.split(',').next()?.trim().to_owned())
        };
        let host = first(X_FORWARDED_HOST).filter(|host| is_host(host));
        let proto = first(X_FORWARDED_PROTO).filter(|proto| is_scheme(proto));
        let mut elements: Vec<_> = clients
            .into_iter()
            .map(|client| Self::new().on_behalf_of(client))
            .collect();
        if elements.is_empty() && (host.is_some() || proto.is_some()) {
            elements.push(Self::new());
        }
        if let Some(first) = elements.first_mut() {
            first.host = host;
            first.proto = proto;
        }
        elements
    }
}

/// One member of the list, and what comes after its comma.
fn element(mut rest: &[u8]) -> Result<(Option<ForwardedElement>, &[u8]), ForwardedError> {
    let mut element = ForwardedElement::new();
    let mut seen = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => break,
            Some((b',', after)) => {
                rest = after;
                break;
            }
            Some((b';', after)) => {
                rest = after;
                continue;
            }
            Some(_) => {}
        }
        let (name, after) = token(rest)?;
        let after = after
            .strip_prefix(b"=")
            .ok_or(ForwardedError("has a parameter without a value"))?;
        let (value, after) = value(after)?;
        rest = after.trim_ascii_start();
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            return Err(ForwardedError("has something after a value"));
        }
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            return Err(ForwardedError("has a parameter twice in one hop"));
        }
        let node = || {
            let node = ForwardedNode::parse(&value);
            node.ok_or(ForwardedError("has a node that is none"))
        };
        match name.as_str() {
            "for" => element.client = Some(node()?),
            "by" => element.by = Some(node()?),
            "host" if !is_host(&value) => return Err(ForwardedError("has a host that is none")),
            "host" => element.host = Some(value),
            "proto" if !is_scheme(&value) => {
                return Err(ForwardedError("has a proto that is none"));
            }
            "proto" => element.proto = Some(value),
            _ => {}
        }
        seen.push(name);
        if seen.len() > 16 {
            return Err(ForwardedError("has more than 16 parameters in one hop"));
        }
    }
    Ok(((!seen.is_empty()).then_some(element), rest))
}

fn token(text: &[u8]) -> Result<(&str, &[u8]), ForwardedError> {
    let end = text.iter().take_while(|byte| is_token(**byte)).count();
    let (token, rest) = text.split_at(end);
    match std::str::from_utf8(token) {
        Ok(token) if end > 0 => Ok((token, rest)),
        _ => Err(ForwardedError("has something else than a name or a value")),
    }
}

/// A token, or what is between quotation marks, without its backslashes.
fn value(text: &[u8]) -> Result<(String, &[u8]), ForwardedError> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (token, rest) = token(text)?;
        return Ok((token.to_owned(), rest));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let value = String::from_utf8(value)
                    .map_err(|_| ForwardedError("has a value that is not UTF-8"))?;
                return Ok((value, &quoted[at + 1..]));
            }
            b'\\' => match bytes.next() {
                Some((_, escaped)) => value.push(*escaped),
                None => break,
            },
            _ => value.push(*byte),
        }
    }
    Err(ForwardedError("has a quotation mark that is never closed"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// What is read, written again. A hop that tells nothing that is known here is not written.
    fn parse(values: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header");
            headers.append(FORWARDED, value);
        }
        let mut hops = ForwardedElement::parse(&headers).map_err(|error| error.0.to_owned())?;
        hops.retain(|hop| !hop.is_empty());
        let hops: Vec<_> = hops.iter().map(ToString::to_string).collect();
        Ok(hops.join(", "))
    }

    #[test]
    fn lists_are_read() {
        for (values, read) in [
            // RFC 7239 section 4.
            (&["for=\"_gazonk\""][..], "for=_gazonk"),
            (
                &["For=\"[2001:db8:cafe::17]:4711\""],
                "for=\"[2001:db8:cafe::17]:4711\"",
            ),
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"],
                "for=192.0.2.60;by=203.0.113.43;proto=http",
            ),
            (
                &["for=192.0.2.43, for=198.51.100.17"],
                "for=192.0.2.43, for=198.51.100.17",
            ),
            (
                &["for=192.0.2.43,for=\"[2001:db8::1]\"", "for=unknown"],
                "for=192.0.2.43, for=\"[2001:db8::1]\", for=unknown",
            ),
            // Members that are empty, space where it does no harm, names that nobody knows.
            (&["", " , ,for=_a;; ;proto=https ; ,"], "for=_a;proto=https"),
            (&["secret=\"a,b;c\\\"d\";for=_a"], "for=_a"),
            (&["host=\"h.example\\:80\""], "host=\"h.example:80\""),
            (&["x=1"], ""),
        ] {
            assert_eq!(parse(values).as_deref(), Ok(read), "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let many = "for=_a,".repeat(65);
        let wide = (0..17).map(|n| format!("p{n}=1;")).collect::<String>();
        for (value, why) in [
            ("for", "has a parameter without a value"),
            ("for =_a", "has a parameter without a value"),
            ("for=", "has something else than a name or a value"),
            ("=_a", "has something else than a name or a value"),
            ("for=192.0.2.43:80", "has something after a value"),
            ("for=_a b", "has something after a value"),
            ("for=\"_a", "has a quotation mark that is never closed"),
            ("for=\"_a\\", "has a quotation mark that is never closed"),
            ("for=_a;FOR=_b", "has a parameter twice in one hop"),
            ("for=nobody", "has a node that is none"),
            ("host=\"a b\"", "has a host that is none"),
            ("host=\"me@h\"", "has a host that is none"),
            ("proto=\"ht tp\"", "has a proto that is none"),
            ("for=\"ü\"", "has a node that is none"),
            (&many, "has more than 64 hops"),
            (&wide, "has more than 16 parameters in one hop"),
        ] {
            assert_eq!(parse(&[value]), Err(why.to_owned()), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(value in "[ -~\u{80}-\u{ff}]{0,40}|((for|by|host|proto|x)=(\"[ !#-~]{0,9}\"|[a-z0-9._]{1,9})[;,]){0,5}") {
            if let Ok(written) = parse(&[&value]) {
                assert_eq!(parse(&[&written]), Ok(written));
            }
        }
    }
}
