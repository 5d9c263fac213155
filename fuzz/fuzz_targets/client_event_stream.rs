//! Server-sent events, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    bartizan_client::fuzzing::event_stream(bytes, cut % (bytes.len() + 1));
});
