//! `If-Match` and `If-None-Match`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    bartizan_listener::fuzzing::entity_tags(input);
});
