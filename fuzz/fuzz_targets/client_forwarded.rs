//! `Forwarded` (RFC 7239).

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    bartizan_client::fuzzing::forwarded(input);
});
