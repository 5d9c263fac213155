//! A proxy's answer to `CONNECT`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    bartizan_client::fuzzing::connect_answer(bytes, cut % (bytes.len() + 1));
});
