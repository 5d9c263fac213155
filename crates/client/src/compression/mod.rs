//! Bodies that are smaller on the wire: responses decompressed, requests compressed.
//!
//! [`DecompressionLayer`] asks for the codings it knows and undoes them, however they are stacked. [`CompressionLayer`] compresses the
//! bodies of requests, where the server is known to take that.
//!
//! # Placement
//!
//! [`DecompressionLayer`] stands above a cache that keeps what came over the wire, and above the layers that count wire bytes; below
//! whatever reads the body. [`CompressionLayer`] stands above retries and redirects, so that a body is compressed once.
//!
//! # State
//!
//! None between calls.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. Decoding happens as the body is read, at most 16 KiB of output at a time; dropping the body drops
//! all of it.
//!
//! # Errors
//!
//! [`Error`](crate::Error). Of a body that is not what `Content-Encoding` says, [`is_decode`](crate::Error::is_decode) holds; of one
//! that expands beyond a limit, [`is_too_large`](crate::Error::is_too_large).
//!
//! # Differences from tower-http
//!
//! - Stacked codings are undone (`Content-Encoding: gzip, gzip`), and names are read in any case, `x-gzip` too.
//! - What a small body expands to is bounded, by size and by ratio.
//! - The window of Zstandard is at most 8 MiB (RFC 9659): a header of ten bytes cannot ask for gigabytes.
//! - A caller that asks for codings itself, or for a range, gets what the server sends.
//! - What is cut off within a coding is an error, and so is what follows its end.
//! - `deflate` is decoded both ways in which servers send it.
//! - An end of the body is looked for after the end of the coding, so the connection is used again, and trailers arrive.

mod body;
mod coding;
mod decoder;
mod decompression;
mod encoder;
mod request;

pub use self::{
    body::DecodedBody,
    coding::Coding,
    decompression::{
        Decompressed, Decompression, DecompressionBuilder, DecompressionFuture, DecompressionLayer,
        DecompressionService,
    },
    request::{CompressionLayer, CompressionService},
};

pub(crate) use self::{
    coding::{Encoded, encoded},
    decoder::{Decoder, Pull},
};
