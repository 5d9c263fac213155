//! What names a URI.

use std::fmt;

use http::Uri;

use crate::{
    Error,
    error::{Kind, redacted_text},
};

/// What names a request's URI: `&str`, `String`, [`Uri`], and references to them.
pub trait IntoUri {
    /// The URI.
    ///
    /// # Errors
    ///
    /// If it is none. The error names it, without its query.
    fn into_uri(self) -> Result<Uri, Error>;
}

impl<T> IntoUri for T
where
    // The copy is for the message. That of a `&str` or a `Uri` costs nothing.
    T: TryInto<Uri, Error: Into<http::Error>> + fmt::Display + Clone,
{
    fn into_uri(self) -> Result<Uri, Error> {
        let text = self.clone();
        self.try_into().map_err(|error| {
            let text = redacted_text(&text.to_string());
            Error::new(Kind::Builder, format!("`{text}` is not a URI")).with_source(error.into())
        })
    }
}
