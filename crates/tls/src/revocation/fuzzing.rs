//! What reads bytes from a peer, for fuzz targets and for tests of the whole engine. No part of the interface.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustls_pki_types::CertificateDer;

use super::{
    crl::List,
    ocsp::{Origin, read},
    subject::Subject,
};
use crate::{Chain, Link, Provider, x509::Certificate};

/// When the seeds of the fuzz targets were made, or everything is out of date before its signature is looked at: 2026-11-21.
const MADE: Duration = Duration::from_secs(1_795_251_600);

/// Reads a list, searches it, and tries its signature.
pub fn crl(bytes: &[u8], chain: &Chain, provider: &Provider) {
    let Ok(subject) = Subject::parse(&chain.links()[0]) else {
        return;
    };
    if let Ok(list) = List::parse(&Bytes::copy_from_slice(bytes)) {
        let _ = list.says(&subject, SystemTime::UNIX_EPOCH + MADE);
        let _ = list.verify(&subject.issuer_key, provider.algorithms().all);
    }
}

/// Reads an OCSP response, as a staple and as an answer.
pub fn ocsp(bytes: &[u8], chain: &Chain, provider: &Provider) {
    let Ok(subject) = Subject::parse(&chain.links()[0]) else {
        return;
    };
    for origin in [Origin::Staple, Origin::Responder(Some(&[0; 32]))] {
        let _ = read(
            bytes,
            &subject,
            origin,
            SystemTime::UNIX_EPOCH + MADE,
            provider.algorithms().all,
        );
    }
}

/// Reads a certificate for what revocation wants to know of it.
pub fn certificate(bytes: &[u8]) {
    let link = Link::new(CertificateDer::from(bytes.to_vec()), Vec::new(), Vec::new());
    let _ = Subject::parse(&link);
}

/// A chain that nobody verified: the certificates in DER, the peer's own first, and the trust anchor's last.
///
/// # Panics
///
/// If one of them is no certificate.
pub fn chain(certificates: &[&[u8]]) -> Chain {
    let links = certificates.windows(2).map(|pair| {
        let issuer = Certificate::parse(pair[1]).expect("a certificate");
        Link::new(
            CertificateDer::from(pair[0].to_vec()),
            issuer.subject.to_vec(),
            issuer.key.to_vec(),
        )
    });
    Chain::new(links.collect())
}
