//! Version 1: a line of text.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::{FromStr, Split},
};

use super::{Parsed, ProxyHeader, ProxyProtocolError};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The protocol's own limit, line end included.
const MAX_LEN: usize = 107;

pub(super) fn parse(bytes: &[u8], max_len: usize) -> Result<Parsed, ProxyProtocolError> {
    let max_len = MAX_LEN.min(max_len);
    let window = &bytes[..bytes.len().min(max_len)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < max_len {
            Ok(Parsed::Incomplete)
        } else {
            Err(malformed("a line that is too long"))
        };
    };
    let line = window[..end]
        .strip_suffix(b"\r")
        .ok_or(malformed("a line that ends without a carriage return"))?;
    let rest = line
        .strip_prefix(SIGNATURE)
        .ok_or(malformed("a line that is too short"))?;
    Ok(Parsed::Header {
        header: header(rest)?,
        len: end + 1,
    })
}

fn header(line: &[u8]) -> Result<ProxyHeader, ProxyProtocolError> {
    // Whatever follows it is to be ignored.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(ProxyHeader::unknown(1));
    }
    let text = std::str::from_utf8(line).map_err(|_| malformed("something else than text"))?;
    let mut parts = text.split(' ');
    let (source, destination) = match parts.next() {
        Some("TCP4") => addresses::<Ipv4Addr>(&mut parts)?,
        Some("TCP6") => addresses::<Ipv6Addr>(&mut parts)?,
        _ => return Err(malformed("neither TCP4, TCP6 nor UNKNOWN")),
    };
    if parts.next().is_some() {
        return Err(malformed("more than two ports"));
    }
    Ok(ProxyHeader::new(1, source.into(), destination.into(), &[]))
}

fn addresses<I>(parts: &mut Split<'_, char>) -> Result<(SocketAddr, SocketAddr), ProxyProtocolError>
where
    I: FromStr + Into<IpAddr>,
{
    let mut ip = || -> Result<IpAddr, ProxyProtocolError> {
        let ip = parts.next().and_then(|part| part.parse::<I>().ok());
        Ok(ip.ok_or(malformed("no such address"))?.into())
    };
    let (source, destination) = (ip()?, ip()?);
    let mut port = || parts.next().and_then(port).ok_or(malformed("no such port"));
    Ok((
        SocketAddr::new(source, port()?),
        SocketAddr::new(destination, port()?),
    ))
}

/// Digits only, and no zeros before others: `parse` alone would take `+80`.
fn port(part: &str) -> Option<u16> {
    let plain = part == "0" || !part.starts_with(['0', '+']);
    if plain { part.parse().ok() } else { None }
}

const fn malformed(what: &'static str) -> ProxyProtocolError {
    ProxyProtocolError::malformed(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, usize)> {
        match super::super::parse(text.as_bytes(), 4096) {
            Ok(Parsed::Header { header, len }) => {
                let shown = |address: Option<&crate::Address>| {
                    address.map_or("-".to_owned(), ToString::to_string)
                };
                let (source, destination) = (header.source(), header.destination());
                Some((format!("{} {}", shown(source), shown(destination)), len))
            }
            Ok(Parsed::Other | Parsed::Incomplete) => panic!("{text:?} is no whole header"),
            Err(error) => {
                assert!(error.is_malformed(), "{error}");
                None
            }
        }
    }

    #[test]
    fn what_is_a_header() {
        for (text, says) in [
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n",
                "192.0.2.7:4711 198.51.100.1:80",
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n",
                "[2001:db8::1]:0 [2001:db8::2]:65535",
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n",
                "192.0.2.7:1 [::1]:2",
            ),
            ("PROXY UNKNOWN\r\n", "- -"),
            ("PROXY UNKNOWN whatever this is\r\n", "- -"),
        ] {
            assert_eq!(parsed(text), Some((says.to_owned(), text.len())), "{text}");
        }
        // The longest there is.
        let ip = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {ip} {ip} 65535 65535\r\n");
        assert_eq!(longest.len(), MAX_LEN);
        assert!(parsed(&longest).is_some());
    }

    #[test]
    fn what_is_none() {
        for text in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY tcp4 192.0.2.7 198.51.100.1 4711 80\r\n",
            "PROXY TCP5 192.0.2.7 198.51.100.1 4711 80\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 1\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 \r\n",
            "PROXY TCP4  192.0.2.7 198.51.100.1 4711 80\r\n",
            "PROXY TCP4 192.0.2.777 198.51.100.1 4711 80\r\n",
            "PROXY TCP4 192.0.2.07 198.51.100.1 4711 80\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 4711 80\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 4711 80\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 80\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +4711 80\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 04711 80\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 -1 80\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\r\n",
            "PROXY UNKNOWN\n",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        assert_eq!((long.len(), parsed(&long)), (MAX_LEN + 1, None));
    }

    #[test]
    fn every_beginning_is_incomplete() {
        let whole = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
        for end in 0..whole.len() {
            let parsed = super::super::parse(&whole[..end], 4096);
            assert!(matches!(parsed, Ok(Parsed::Incomplete)), "{end}");
        }
    }
}
