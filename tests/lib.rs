//! Stacks across crates, over real sockets. The tests are in `it/`.
