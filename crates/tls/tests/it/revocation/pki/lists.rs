//! The lists of a CA.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber, SigningKey,
};

use super::{Ca, DAY, date, tlv};

/// A list as the tests want it.
pub(crate) struct List<'a> {
    pub(crate) number: u64,
    pub(crate) revoked: &'a [u64],
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) reason: Option<RevocationReason>,
    pub(crate) point: Option<rcgen::CrlIssuingDistributionPoint>,
}

impl<'a> List<'a> {
    pub(crate) fn new(number: u64, revoked: &'a [u64]) -> Self {
        Self {
            number,
            revoked,
            from: -DAY,
            until: 6 * DAY,
            reason: None,
            point: None,
        }
    }
}

impl Ca {
    /// A list, number 1, of yesterday and for a week.
    pub(crate) fn list(&self, revoked: &[u64]) -> Vec<u8> {
        self.list_of(&List::new(1, revoked))
    }

    pub(crate) fn list_of(&self, list: &List<'_>) -> Vec<u8> {
        let revoked = list.revoked.iter().map(|&serial| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date(-2 * DAY),
            reason_code: list.reason,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date(list.from),
            next_update: date(list.until),
            crl_number: SerialNumber::from(list.number),
            issuing_distribution_point: list.point.clone(),
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params
            .signed_by(&self.issuer)
            .expect("a list")
            .der()
            .to_vec()
    }

    /// A list of this CA's as rcgen would not write it: of November 13th, and for December if it has an end. Version and extensions are
    /// left out if they are empty.
    pub(crate) fn raw_list(
        &self,
        version: &[u8],
        has_end: bool,
        entries: &[u8],
        extensions: &[u8],
    ) -> Vec<u8> {
        // ecdsa-with-SHA256
        let algorithm = tlv(
            0x30,
            &tlv(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]),
        );
        let mut message = Vec::new();
        if !version.is_empty() {
            message.extend(tlv(0x02, version));
        }
        message.extend_from_slice(&algorithm);
        message.extend(self.subject());
        message.extend(tlv(0x17, b"231113000000Z"));
        if has_end {
            message.extend(tlv(0x17, b"231231000000Z"));
        }
        if !entries.is_empty() {
            message.extend(tlv(0x30, entries));
        }
        if !extensions.is_empty() {
            message.extend(tlv(0xa0, &tlv(0x30, extensions)));
        }
        let message = tlv(0x30, &message);
        let signature = self.key().sign(&message).expect("a signature");
        let signature = tlv(0x03, &[&[0][..], &signature].concat());
        tlv(0x30, &[message, algorithm, signature].concat())
    }
}
