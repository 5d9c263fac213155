//! The tests of both ends, over real sockets.

mod revocation;
