//! What fuzz targets call: parsers of what a peer sends. No part of the API.

use std::{sync::Arc, time::Duration};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, UnixTime};

pub use crate::revocation::fuzzing::{chain, crl, ocsp};
use crate::{
    Provider,
    revocation::fuzzing,
    verify::{Paths, Role},
    x509::{Certificate, Usage},
};

/// Reads a certificate, and the names in it.
pub fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::parse(bytes) {
        certificate.names();
        let _ = (certificate.must_staple(), certificate.may_answer());
        let _ = certificate.allows(Usage::CrlSign);
    }
    fuzzing::certificate(bytes);
}

/// Looks for a path from the first of these certificates to that root, and asks about usages on the way.
pub fn path(certificates: Vec<Vec<u8>>, root: &[u8], provider: &Provider) {
    let mut roots = RootCertStore::empty();
    if roots.add(CertificateDer::from(root)).is_err() {
        return;
    }
    let certificates = certificates.into_iter().map(CertificateDer::from);
    let certificates = certificates.collect::<Vec<_>>();
    // 2030-01-01: long after the root was made, and long before it ends.
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000));
    let roots = Arc::new(roots);
    let Some((leaf, intermediates)) = certificates.split_first() else {
        return;
    };
    for role in [Role::Server, Role::Client] {
        let paths = Paths::new(Arc::clone(&roots), provider.algorithms(), role);
        let _ = paths.verify(leaf, intermediates, now);
    }
}
