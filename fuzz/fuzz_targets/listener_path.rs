//! Paths, in their one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    bartizan_listener::fuzzing::path(input);
});
