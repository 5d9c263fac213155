//! The names of content codings (RFC 9110 section 8.4).

use http::{HeaderMap, HeaderValue, header};

/// A content coding that is decoded and encoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// Zstandard (RFC 8878), with a window of at most 8 MiB (RFC 9659).
    Zstd,
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
    /// zlib (RFC 1950). The bare deflate (RFC 1951) that some servers send under this name is decoded as well.
    Deflate,
}

impl Coding {
    /// All of them, the one to prefer first.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Brotli, Self::Gzip, Self::Deflate];

    /// Its name in `Content-Encoding` and `Accept-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// In any case, and by the older name of gzip (RFC 9110 section 8.4.1.3).
    fn of(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL
            .into_iter()
            .find(|coding| name.eq_ignore_ascii_case(coding.name()))
    }
}

/// What a `Content-Encoding` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// Nothing, or `identity`.
    No,
    /// The codings in the order in which they were applied.
    By(Vec<Coding>),
    /// Among others, by a coding that is not known here.
    Unknown,
    /// More often than anybody has reason to.
    TooOften,
}

/// How many codings of one body are undone. There is use for one; two happen by accident.
pub(crate) const MOST_CODINGS: usize = 4;

pub(crate) fn encoded(headers: &HeaderMap) -> Encoded {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let Ok(value) = value.to_str() else {
            return Encoded::Unknown;
        };
        for name in value.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let Some(coding) = Coding::of(name) else {
                return Encoded::Unknown;
            };
            if codings.len() == MOST_CODINGS {
                return Encoded::TooOften;
            }
            codings.push(coding);
        }
    }
    if codings.is_empty() {
        Encoded::No
    } else {
        Encoded::By(codings)
    }
}

/// The `Accept-Encoding` that asks for `codings`, in their order.
pub(crate) fn accept(codings: &[Coding]) -> Option<HeaderValue> {
    let names: Vec<_> = codings.iter().map(|coding| coding.name()).collect();
    (!names.is_empty()).then(|| {
        HeaderValue::try_from(names.join(", ")).expect("names of codings are header values")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_encoding_is_read_in_any_spelling() {
        use Coding::{Brotli, Deflate, Gzip, Zstd};
        for (values, expected) in [
            (&[][..], Encoded::No),
            (&[""], Encoded::No),
            (&["identity"], Encoded::No),
            (&["gzip"], Encoded::By(vec![Gzip])),
            (&["GZip"], Encoded::By(vec![Gzip])),
            (&["X-GZIP"], Encoded::By(vec![Gzip])),
            (&["gzip, gzip"], Encoded::By(vec![Gzip, Gzip])),
            (
                &["deflate ,br", " zstd"],
                Encoded::By(vec![Deflate, Brotli, Zstd]),
            ),
            (&[",gzip,,identity"], Encoded::By(vec![Gzip])),
            (&["gzip", "rot13"], Encoded::Unknown),
            (&["gz\u{e9}p"], Encoded::Unknown),
            (&["br,br,br,br"], Encoded::By(vec![Brotli; 4])),
            (&["br,br,br,br,br"], Encoded::TooOften),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
                headers.append(header::CONTENT_ENCODING, value);
            }
            assert_eq!(encoded(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_accepted_is_named_in_order() {
        let value = accept(&Coding::ALL).expect("some");
        assert_eq!(value, "zstd, br, gzip, deflate");
        assert_eq!(accept(&[]), None);
    }
}
