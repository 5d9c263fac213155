//! Bytes that nobody should send.

use std::sync::LazyLock;

use bartizan_tls::{Chain, Provider, revocation::fuzzing};
use proptest::prelude::*;

use super::pki::{Ca, List, Response, Wish, provider};

/// Things that are as they should be, to be damaged.
struct Samples {
    provider: Provider,
    chain: Chain,
    certificate: Vec<u8>,
    list: Vec<u8>,
    response: Vec<u8>,
}

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let ca = Ca::root("ca");
    let wish = Wish {
        lists: vec!["http://ca/list"],
        responder: Some("http://ca/ocsp"),
        must_staple: true,
    };
    let certificate = ca.leaf(7, &wish);
    let signer = ca.delegate(&[rcgen::ExtendedKeyUsagePurpose::OcspSigning], (-1, 1));
    let list = List {
        reason: Some(rcgen::RevocationReason::KeyCompromise),
        ..List::new(1, &[1, 7, 300])
    };
    Samples {
        provider: provider(),
        chain: fuzzing::chain(&[&certificate, &ca.der]),
        certificate,
        list: ca.list_of(&list),
        response: Response {
            nonce: Some(vec![1; 32]),
            key: &signer.1,
            certificates: vec![signer.0],
            ..Response::new(&ca, 7)
        }
        .der(),
    }
});

fn read_all(bytes: &[u8]) {
    fuzzing::crl(bytes, &SAMPLES.chain, &SAMPLES.provider);
    fuzzing::ocsp(bytes, &SAMPLES.chain, &SAMPLES.provider);
    fuzzing::certificate(bytes);
}

/// One change to some bytes.
fn damage() -> impl Strategy<Value = (prop::sample::Index, u8, prop::sample::Index, u8)> {
    (
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<prop::sample::Index>(),
        0_u8..4,
    )
}

fn damaged(
    mut bytes: Vec<u8>,
    damage: &[(prop::sample::Index, u8, prop::sample::Index, u8)],
) -> Vec<u8> {
    for (at, byte, other, kind) in damage {
        if bytes.is_empty() {
            break;
        }
        let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
        match kind {
            0 => bytes[at] = *byte,
            1 => bytes.truncate(at),
            2 => {
                bytes.remove(at);
            }
            // A piece of it, once more, somewhere else.
            _ => {
                let piece = bytes[at.min(other)..at.max(other)].to_vec();
                bytes.splice(other..other, piece);
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_lists_are_read_or_refused(damage in prop::collection::vec(damage(), 1..5)) {
        read_all(&damaged(SAMPLES.list.clone(), &damage));
    }

    #[test]
    fn damaged_responses_are_read_or_refused(damage in prop::collection::vec(damage(), 1..5)) {
        read_all(&damaged(SAMPLES.response.clone(), &damage));
    }

    #[test]
    fn damaged_certificates_are_read_or_refused(damage in prop::collection::vec(damage(), 1..5)) {
        read_all(&damaged(SAMPLES.certificate.clone(), &damage));
    }
}

#[test]
fn a_response_with_one_bit_changed_never_counts_as_good() {
    use bartizan_tls::revocation::{Engine as _, Method, Revocation, Verdict};
    use futures_util::FutureExt as _;

    let ca = Ca::root("ca");
    let chain = ca.chain(7, &Wish::default());
    let staple = Response::new(&ca, 7).der();
    let verdict = |staple: &[u8]| {
        let builder = Revocation::of_servers(&provider()).methods([Method::Staple]);
        let engine = builder.build().expect("an engine");
        engine
            .in_handshake(&chain, staple, super::pki::now())
            .expect("not revoked");
        engine
            .after_handshake(&chain, super::pki::now())
            .now_or_never()
            .expect("nothing to wait for")
    };
    assert!(matches!(verdict(&staple), Ok(Verdict::Good(_))));
    let mut counted = Vec::new();
    for bit in 0..staple.len() * 8 {
        let mut changed = staple.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if verdict(&changed).is_ok() {
            counted.push(bit / 8);
        }
    }
    assert!(
        counted.is_empty(),
        "bytes whose change does not matter: {counted:?}"
    );
}
