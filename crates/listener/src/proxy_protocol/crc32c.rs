//! CRC32C (RFC 3720 appendix B.4), by which version 2 protects its header.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Bit by bit: a header is at most some kilobytes, once per connection, and a table would be one more thing to be wrong.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    !bytes.into_iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of RFC 3720 appendix B.4, and the usual check value.
    #[test]
    fn known_values() {
        assert_eq!(crc32c([0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(0..32), 0x46dd_794e);
        assert_eq!(crc32c(*b"123456789"), 0xe306_9283);
    }
}
