//! Lists of hosts that no proxy is for.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    bartizan_client::fuzzing::hosts(input);
});
