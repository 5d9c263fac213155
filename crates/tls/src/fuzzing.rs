//! What fuzz targets call: parsers of what a peer sends. No part of the API.

pub use crate::revocation::fuzzing::*;
use crate::x509::Details;

/// Reads a certificate, and the names in it.
pub fn certificate(bytes: &[u8]) {
    if let Ok(details) = Details::parse(bytes) {
        details.names();
    }
}
