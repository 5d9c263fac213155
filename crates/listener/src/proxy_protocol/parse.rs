//! Which of the two versions it is, if any.

use super::{ProxyHeader, ProxyProtocolError, v1, v2};

/// What the first bytes of a connection are.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// The beginning of a header, or nothing yet.
    Incomplete,
    /// Something else than a header, whatever comes next.
    Other,
    /// A header.
    Header {
        /// What it says.
        header: ProxyHeader,
        /// How many bytes it was.
        len: usize,
    },
}

/// Reads a header of either version from the first bytes of a connection, without any I/O.
///
/// Called again with more bytes, it starts over: a header is short.
///
/// # Errors
///
/// If it begins as a header does, and breaks the protocol or is longer than `max_len`. More bytes do not help.
pub fn parse(bytes: &[u8], max_len: usize) -> Result<Parsed, ProxyProtocolError> {
    if begins_as(bytes, v2::SIGNATURE) {
        return v2::parse(bytes, max_len);
    }
    if begins_as(bytes, v1::SIGNATURE) {
        return v1::parse(bytes, max_len);
    }
    Ok(Parsed::Other)
}

/// As far as there are bytes. No bytes begin as anything does.
fn begins_as(bytes: &[u8], signature: &[u8]) -> bool {
    let known = bytes.len().min(signature.len());
    bytes[..known] == signature[..known]
}
