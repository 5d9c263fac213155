//! What a line of a recording says.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use serde::{Deserialize, Serialize};

/// The first line: that it is a recording, of which version, and what was redacted, so that requests can be compared with it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Preamble {
    pub(super) recording: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) redacted_fields: Vec<String>,
}

/// The version of the form that is written here.
pub(super) const VERSION: u32 = 1;

/// Each of the other lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) request: Asked,
    pub(super) response: Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) uri: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, Data)>,
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    pub(super) body: Data,
    /// Whether there was more of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) incomplete: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answered {
    pub(super) status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, Data)>,
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    pub(super) body: Data,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) trailers: Vec<(String, Data)>,
    /// Whether there was more of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) incomplete: bool,
}

/// Bytes: as text where they are, so that people can read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Data {
    Text(String),
    Base64 { base64: String },
}

impl Default for Data {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Data {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 {
                base64: BASE64_STANDARD.encode(bytes),
            },
        }
    }

    /// `None` if it is not base64.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
            Self::Base64 { base64 } => BASE64_STANDARD.decode(base64).ok().map(Bytes::from),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

/// `None` if one is not a header.
pub(super) fn read_headers(headers: &[(String, Data)]) -> Option<HeaderMap> {
    let read = |(name, value): &(String, Data)| {
        let name: HeaderName = name.parse().ok()?;
        let value = HeaderValue::from_maybe_shared(value.bytes()?).ok()?;
        Some((name, value))
    };
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let (name, value) = read(header)?;
        map.append(name, value);
    }
    Some(map)
}

const VERSIONS: [(&str, Version); 5] = [
    ("HTTP/0.9", Version::HTTP_09),
    ("HTTP/1.0", Version::HTTP_10),
    ("HTTP/1.1", Version::HTTP_11),
    ("HTTP/2.0", Version::HTTP_2),
    ("HTTP/3.0", Version::HTTP_3),
];

/// HTTP/1.1 is what goes without saying.
pub(super) fn write_version(version: Version) -> Option<String> {
    (version != Version::HTTP_11).then(|| format!("{version:?}"))
}

/// `None` if it is none that exists.
pub(super) fn read_version(version: Option<&str>) -> Option<Version> {
    let Some(text) = version else {
        return Some(Version::HTTP_11);
    };
    VERSIONS
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, version)| *version)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_read_as_they_are_written() {
        for (_, version) in VERSIONS {
            assert_eq!(
                read_version(write_version(version).as_deref()),
                Some(version)
            );
        }
        assert_eq!(read_version(Some("HTTP/7")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_they_were_written(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let json = serde_json::to_string(&Data::of(&bytes)).unwrap();
            let read: Data = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read.bytes().unwrap(), bytes);
        }
    }
}
