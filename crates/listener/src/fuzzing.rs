//! What reads bytes of a peer, for fuzz targets. No part of the API.

/// Reads the frames of HTTP/2 in pieces of that size.
pub fn frames(bytes: &[u8], piece: usize) {
    crate::http::read_frames(bytes, piece.max(1));
}
