//! The certificates that a peer sends: each with its length before it.

#![no_main]

use std::sync::LazyLock;

use bartizan_tls::{Provider, fuzzing};
use libfuzzer_sys::fuzz_target;

static PROVIDER: LazyLock<Provider> = LazyLock::new(Provider::aws_lc);

fuzz_target!(|input: &[u8]| {
    let (mut rest, mut certificates) = (input, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (certificate, after) = after.split_at(length);
        certificates.push(certificate.to_vec());
        rest = after;
    }
    let root = include_bytes!("../seeds/tls_certificate/ca.der");
    fuzzing::path(certificates, root, &PROVIDER);
});
