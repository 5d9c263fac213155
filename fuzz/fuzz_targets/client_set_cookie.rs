//! Cookies that a server sets.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let uri = http::Uri::from_static("https://www.shop.example/a/b");
    bartizan_client::fuzzing::set_cookie(&uri, input);
});
