//! Values from bytes, with errors that say where.

use std::any::type_name;

use bartizan_core::BoxError;
use serde::de::DeserializeOwned;

use crate::{Error, error::Kind};

#[cfg(feature = "json")]
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8], subject: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Once more, as keeping the path costs time that only an error is worth.
        let mut json = serde_json::Deserializer::from_slice(bytes);
        match serde_path_to_error::deserialize::<_, T>(&mut json) {
            Err(located) => {
                let path = located.path().to_string();
                fail::<T>(subject, "JSON", &path, located.into_inner())
            }
            // Something came after the value.
            Ok(_) => fail::<T>(subject, "JSON", ".", error),
        }
    })
}

#[cfg(feature = "xml")]
pub(crate) fn xml<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut xml = quick_xml::de::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut xml).map_err(|error| {
        let path = error.path().to_string();
        fail::<T>("the response body is", "XML", &path, error.into_inner())
    })
}

fn fail<T>(subject: &str, format: &str, path: &str, source: impl Into<BoxError>) -> Error {
    let wanted = type_name::<T>();
    // The path of the whole document, or of what is no document at all.
    let place = match path {
        "." | "?" => String::new(),
        _ => format!(", at `{path}`"),
    };
    let message = format!("{subject} not the {format} of a `{wanted}`{place}");
    Error::new(Kind::Decode, message).with_source(source)
}
