//! A body of parts, between boundaries of `b`. The first byte says how large the chunks are.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some((&chunk, body)) = input.split_first() {
        bartizan_listener::extract::fuzzing::multipart(body, chunk.into());
    }
});
