//! What a SOCKS proxy says.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    bartizan_client::fuzzing::socks(input);
});
