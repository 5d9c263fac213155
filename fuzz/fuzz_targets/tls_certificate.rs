//! A certificate of a peer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| bartizan_tls::fuzzing::certificate(input));
