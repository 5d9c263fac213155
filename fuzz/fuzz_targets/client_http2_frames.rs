//! What an HTTP/2 peer says of streams to come.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    bartizan_client::fuzzing::http2_frames(input);
});
