//! The answer of a responder, fetched or stapled.

#![no_main]

use std::sync::LazyLock;

use bartizan_tls::{Chain, Provider, fuzzing};
use libfuzzer_sys::fuzz_target;

static ABOUT: LazyLock<(Chain, Provider)> = LazyLock::new(|| {
    let leaf = include_bytes!("../seeds/tls_certificate/leaf.der");
    let ca = include_bytes!("../seeds/tls_certificate/ca.der");
    (fuzzing::chain(&[leaf, ca]), Provider::aws_lc())
});

fuzz_target!(|input: &[u8]| {
    let (chain, provider) = &*ABOUT;
    fuzzing::ocsp(input, chain, provider);
});
