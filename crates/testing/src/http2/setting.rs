//! What a SETTINGS frame can set: RFC 9113 section 6.5.2, and RFC 8441.

/// The size of the table that the client's HPACK encoder may use, in bytes. 4,096 unless set.
pub const HEADER_TABLE_SIZE: u16 = 0x1;
/// Whether the server may push. A server sends 0 or nothing.
pub const ENABLE_PUSH: u16 = 0x2;
/// How many streams the client may have open. No limit unless set; 0 stops new ones.
pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
/// How many bytes the client may send on each stream before it is given more. 65,535 unless set.
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
/// The longest payload that the client may send. 16,384 unless set.
pub const MAX_FRAME_SIZE: u16 = 0x5;
/// The longest header section that the server is willing to take.
pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
/// Whether extended CONNECT is understood.
pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
