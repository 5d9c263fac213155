//! `Content-Type`, for its charset.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    bartizan_client::fuzzing::content_type(input);
});
