//! Bodies that are not what their `Content-Encoding` says, and chains of those.

#![no_main]

use libfuzzer_sys::fuzz_target;

const CHAINS: [&[u8]; 7] = [
    b"gzip",
    b"deflate",
    b"br",
    b"zstd",
    b"gzip, gzip",
    b"zstd, X-GZIP",
    b"br,deflate,identity",
];

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (chain, header, body) = input;
    let codings = CHAINS.get(usize::from(chain)).copied().unwrap_or(header);
    bartizan_client::fuzzing::decode(codings, body);
});
