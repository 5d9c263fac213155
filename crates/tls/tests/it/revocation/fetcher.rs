//! The fetcher over real sockets.
