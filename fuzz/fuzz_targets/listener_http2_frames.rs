//! The heads of the frames of HTTP/2. The first byte says how large the pieces are.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some((&piece, bytes)) = input.split_first() {
        bartizan_listener::fuzzing::frames(bytes, piece.into());
    }
});
