//! From bytes to encoded ones, without I/O.

use std::io;

use compression_codecs::{
    BrotliEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
    brotli::params::EncoderParams,
    core::{
        Level,
        util::{PartialBuffer, WriteBuffer},
    },
    flate::params::FlateEncoderParams,
    zstd::params::CParameter,
};

use super::coding::Coding;

const CHUNK: usize = 8 * 1024;

/// Applies one coding.
pub(super) struct Encoder {
    encoder: Box<dyn EncodeV2 + Send + Sync>,
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> Self {
        let flate = || FlateEncoderParams::from(Level::Default);
        Self {
            encoder: match coding {
                // Its default of 11 is for files that are compressed once; 4 is as fast as gzip, and smaller.
                Coding::Brotli => Box::new(BrotliEncoder::new(
                    EncoderParams::default().quality(Level::Precise(4)),
                )),
                Coding::Zstd => Box::new(ZstdEncoder::new(CParameter::quality(Level::Default))),
                Coding::Gzip => Box::new(GzipEncoder::new(flate())),
                Coding::Deflate => Box::new(ZlibEncoder::new(flate())),
            },
        }
    }

    /// Takes `data`, and returns what is ready of the output, which may be nothing.
    pub(super) fn encode(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        let mut input = PartialBuffer::new(data);
        collect(|output| {
            // With no input, some encoders take it for an error that there is nothing to do.
            if !input.unwritten().is_empty() {
                self.encoder.encode(&mut input, output)?;
            }
            Ok(input.unwritten().is_empty())
        })
    }

    /// What the encoder has held back, so that the peer can decode all that came in so far.
    pub(super) fn flush(&mut self) -> io::Result<Vec<u8>> {
        collect(|output| self.encoder.flush(output))
    }

    /// The rest.
    pub(super) fn finish(&mut self) -> io::Result<Vec<u8>> {
        collect(|output| self.encoder.finish(output))
    }
}

/// What `step` writes until it says that this is all.
fn collect(mut step: impl FnMut(&mut WriteBuffer<'_>) -> io::Result<bool>) -> io::Result<Vec<u8>> {
    let mut collected = Vec::new();
    let mut scratch = [0; CHUNK];
    loop {
        let mut output = WriteBuffer::new_initialized(&mut scratch);
        let is_all = step(&mut output)?;
        collected.extend_from_slice(output.written());
        if is_all {
            return Ok(collected);
        }
    }
}
