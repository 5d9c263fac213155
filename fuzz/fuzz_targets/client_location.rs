//! Where a redirect leads.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let base = http::Uri::from_static("https://origin.example/a/b?c");
    bartizan_client::fuzzing::location(&base, input);
});
