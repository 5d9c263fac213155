//! A deadline on the wire: the time that is left.

use std::time::Duration;

use bartizan_core::ConfigError;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The most that gRPC's grammar has room for.
const GRPC_MAX: u128 = 99_999_999;

/// Nanoseconds in each of gRPC's units, from the finest.
const GRPC_UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60 * 1_000_000_000),
    (b'H', 3_600 * 1_000_000_000),
];

/// The header that carries what is left until a deadline: its name, and how the time is written.
///
/// What does not parse is as good as absent: a caller that sends nonsense gets the time that every other caller gets. Of several
/// values the shortest counts. What is written is rounded down, so that the peer gives up first, but is never zero.
///
/// ```
/// use bartizan_resilience::deadline::DeadlineHeader;
/// use http::HeaderMap;
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// DeadlineHeader::grpc().write(&mut headers, Duration::from_millis(1500));
/// assert_eq!(headers["grpc-timeout"], "1500000u");
/// assert_eq!(DeadlineHeader::grpc().read(&headers), Some(Duration::from_millis(1500)));
///
/// DeadlineHeader::default().write(&mut headers, Duration::from_millis(1500));
/// assert_eq!(headers["x-request-timeout-ms"], "1500");
///
/// let error = DeadlineHeader::try_millis("no such name").unwrap_err();
/// assert_eq!(error.to_string(), "invalid deadline header `no such name`: expected the name of a header");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineHeader {
    name: HeaderName,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Millis,
    Grpc,
}

impl DeadlineHeader {
    /// Whole milliseconds, in decimal, in a header of that name: `x-request-timeout-ms`, or Envoy's
    /// `x-envoy-expected-rq-timeout-ms`.
    ///
    /// # Errors
    ///
    /// If a header cannot be called that.
    pub fn try_millis(name: &str) -> Result<Self, ConfigError> {
        let parsed = name.parse::<HeaderName>().map_err(|error| {
            ConfigError::new("deadline header", name, "the name of a header").with_source(error)
        });
        Ok(Self {
            name: parsed?,
            format: Format::Millis,
        })
    }

    /// `grpc-timeout`: up to eight digits and a unit, of the gRPC protocol over HTTP/2.
    pub const fn grpc() -> Self {
        Self {
            name: HeaderName::from_static("grpc-timeout"),
            format: Format::Grpc,
        }
    }

    /// The name.
    pub const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The time that `headers` leave, if they say.
    pub fn read(&self, headers: &HeaderMap) -> Option<Duration> {
        let values = headers.get_all(&self.name).iter();
        values
            .filter_map(|value| match self.format {
                Format::Millis => millis(value.as_bytes()),
                Format::Grpc => grpc(value.as_bytes()),
            })
            .min()
    }

    /// Writes the time that is left, in place of whatever `headers` said before.
    pub fn write(&self, headers: &mut HeaderMap, remaining: Duration) {
        let value = match self.format {
            Format::Millis => {
                HeaderValue::from(u64::try_from(remaining.as_millis().max(1)).unwrap_or(u64::MAX))
            }
            Format::Grpc => format_grpc(remaining),
        };
        headers.insert(&self.name, value);
    }
}

/// `x-request-timeout-ms`, in milliseconds: there is no standard, and this is what most services that have one call it.
impl Default for DeadlineHeader {
    fn default() -> Self {
        Self {
            name: HeaderName::from_static("x-request-timeout-ms"),
            format: Format::Millis,
        }
    }
}

/// Digits and nothing else: `parse` alone would take a leading plus.
fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let are_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| text.parse().ok())?
}

fn millis(text: &[u8]) -> Option<Duration> {
    digits(text).map(Duration::from_millis)
}

fn grpc(text: &[u8]) -> Option<Duration> {
    let (&unit, number) = text.split_last()?;
    let number = digits(number).filter(|_| number.len() <= 8)?;
    Some(match unit {
        b'n' => Duration::from_nanos(number),
        b'u' => Duration::from_micros(number),
        b'm' => Duration::from_millis(number),
        b'S' => Duration::from_secs(number),
        b'M' => Duration::from_secs(number * 60),
        b'H' => Duration::from_secs(number * 3_600),
        _ => return None,
    })
}

/// In the finest unit that has room for it.
fn format_grpc(remaining: Duration) -> HeaderValue {
    let nanos = remaining.as_nanos().max(1);
    let (unit, number) = GRPC_UNITS
        .iter()
        .map(|&(unit, size)| (unit, nanos / size))
        .find(|&(_, number)| number <= GRPC_MAX)
        .unwrap_or((b'H', GRPC_MAX));
    let text = format!("{number}{}", char::from(unit));
    HeaderValue::try_from(text).expect("digits and a letter")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &DeadlineHeader, values: &[&[u8]]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a header value");
            headers.append(header.name(), value);
        }
        header.read(&headers)
    }

    #[test]
    fn milliseconds_are_digits_and_nothing_else() {
        let header = DeadlineHeader::default();
        for (value, millis) in [
            (&b"0"[..], Some(0)),
            (b"1500", Some(1500)),
            (b"007", Some(7)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"+5", None),
            (b"-5", None),
            (b"1.5", None),
            (b"1e3", None),
            (b"5 ", None),
            (b"5ms", None),
            (b"\xd9\xa3", None),
            (b"\xff", None),
        ] {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(read(&header, &[value]), expected, "{value:?}");
        }
    }

    #[test]
    fn grpc_is_up_to_eight_digits_and_a_unit() {
        let header = DeadlineHeader::grpc();
        for (value, expected) in [
            (&b"1H"[..], Some(Duration::from_secs(3600))),
            (b"2M", Some(Duration::from_secs(120))),
            (b"3S", Some(Duration::from_secs(3))),
            (b"4m", Some(Duration::from_millis(4))),
            (b"5u", Some(Duration::from_micros(5))),
            (b"6n", Some(Duration::from_nanos(6))),
            (b"99999999H", Some(Duration::from_secs(359_999_996_400))),
            (b"100000000n", None),
            (b"1s", None),
            (b"1", None),
            (b"S", None),
            (b"+1S", None),
            (b"1 S", None),
            (b"", None),
        ] {
            assert_eq!(read(&header, &[value]), expected, "{value:?}");
        }
    }

    #[test]
    fn of_several_the_shortest_counts_and_nonsense_not_at_all() {
        let header = DeadlineHeader::default();
        assert_eq!(
            read(&header, &[b"soon", b"20", b"10", b"30"]),
            Some(Duration::from_millis(10))
        );
        assert_eq!(read(&header, &[]), None);
    }

    #[test]
    fn what_is_written_is_never_zero() {
        for (header, least) in [
            (DeadlineHeader::default(), Duration::from_millis(1)),
            (DeadlineHeader::grpc(), Duration::from_nanos(1)),
        ] {
            let mut headers = HeaderMap::new();
            header.write(&mut headers, Duration::ZERO);
            assert_eq!(header.read(&headers), Some(least));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_never_longer(secs in 0_u64..=u64::MAX, nanos in 1_000_000_u32..1_000_000_000, shift in 0_u32..64) {
            let remaining = Duration::new(secs >> shift, nanos);
            for (header, within) in [(DeadlineHeader::default(), 1.0), (DeadlineHeader::grpc(), 1e-6)] {
                let mut headers = HeaderMap::new();
                header.write(&mut headers, remaining);
                let read = header.read(&headers).expect("what it wrote itself");
                prop_assert!(read <= remaining);
                // gRPC's grammar ends at eleven thousand years, and milliseconds in a `u64` at half a billion.
                if remaining < Duration::from_secs(359_999_996_400) {
                    let lost = (remaining - read).as_secs_f64() / remaining.as_secs_f64();
                    prop_assert!(lost <= within, "{lost} of {remaining:?} was lost");
                }
            }
        }
    }
}
