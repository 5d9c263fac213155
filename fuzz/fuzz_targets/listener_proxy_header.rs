//! PROXY headers of both versions. The first byte says where they are cut, and the second how long they may be.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(([cut, max], bytes)) = input.split_first_chunk() {
        bartizan_listener::fuzzing::proxy_header(bytes, 4 * usize::from(*max), (*cut).into());
    }
});
