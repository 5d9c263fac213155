//! A list of many entries, and how often its signature is verified.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bartizan_testing::ManualClock;
use bartizan_tls::{
    Provider,
    revocation::{CrlIndex, Revocation},
};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use crate::revocation::pki::{Ca, Wish, connect, now};

/// Counts how often anything is verified.
#[derive(Debug)]
struct Counting(
    &'static dyn SignatureVerificationAlgorithm,
    Arc<AtomicUsize>,
);

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.verify_signature(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

#[tokio::test]
async fn a_list_of_200_000_entries_is_verified_once_and_not_in_a_handshake() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
    let counting = crypto
        .signature_verification_algorithms
        .all
        .iter()
        .map(|&algorithm| {
            let algorithm: &'static dyn SignatureVerificationAlgorithm =
                Box::leak(Box::new(Counting(algorithm, Arc::clone(&count))));
            algorithm
        });
    crypto.signature_verification_algorithms.all = Vec::leak(counting.collect());
    let provider = Provider::unstable_from_rustls(crypto);

    let ca = Ca::root("ca");
    let revoked: Vec<u64> = (0..200_000).map(|n| (1 << 40) + n * 3).collect();
    let list = ca.list(&revoked);
    let index = CrlIndex::new(&provider).with_clock(ManualClock::at(now()));
    index.add_issuers([&ca.der]).expect("a certificate");
    let info = index.load(list).await.remove(0).expect("a list");
    assert_eq!(info.entries, 200_000);
    assert_eq!(count.load(Ordering::Relaxed), 1);

    let engine = Revocation::of_clients(&provider)
        .crls(index)
        .build()
        .expect("an engine");
    for (serial, is_listed) in [
        (revoked[0], true),
        (revoked[123_456], true),
        (revoked[199_999], true),
        (revoked[0] - 1, false),
        (revoked[123_456] + 1, false),
        (revoked[199_999] + 1, false),
    ] {
        let verdict = connect(&engine, &ca.chain(serial, &Wish::default())).await;
        assert_eq!(
            verdict.is_err_and(|refusal| refusal.is_revoked()),
            is_listed,
            "{serial}"
        );
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
