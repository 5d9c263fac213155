//! `Forwarded` (RFC 7239), and the nodes of `X-Forwarded-For`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    bartizan_listener::fuzzing::forwarded(input);
});
