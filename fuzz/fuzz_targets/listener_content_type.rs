//! `Content-Type`, as the extractors read it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    bartizan_listener::extract::fuzzing::content_type(input);
});
