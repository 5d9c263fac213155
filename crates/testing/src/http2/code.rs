//! Why a stream or a connection ends: the error codes of RFC 9113 section 7.

/// Nothing is wrong: a graceful end.
pub const NO_ERROR: u32 = 0x0;
/// The protocol was broken.
pub const PROTOCOL_ERROR: u32 = 0x1;
/// The server's own mistake.
pub const INTERNAL_ERROR: u32 = 0x2;
/// More was sent than the window allows.
pub const FLOW_CONTROL_ERROR: u32 = 0x3;
/// Settings were not acknowledged in time.
pub const SETTINGS_TIMEOUT: u32 = 0x4;
/// A frame came after the end of its stream.
pub const STREAM_CLOSED: u32 = 0x5;
/// A frame has a size it may not have.
pub const FRAME_SIZE_ERROR: u32 = 0x6;
/// The request was not looked at, and may be sent again.
pub const REFUSED_STREAM: u32 = 0x7;
/// The stream is no longer needed.
pub const CANCEL: u32 = 0x8;
/// The header block cannot be decoded.
pub const COMPRESSION_ERROR: u32 = 0x9;
/// The tunnel of a CONNECT broke.
pub const CONNECT_ERROR: u32 = 0xa;
/// The client does too much.
pub const ENHANCE_YOUR_CALM: u32 = 0xb;
/// TLS is too weak.
pub const INADEQUATE_SECURITY: u32 = 0xc;
/// The request has to be sent over HTTP/1.1.
pub const HTTP_1_1_REQUIRED: u32 = 0xd;
