//! The cookbook, so that its snippets are doctests. The programs in it are the files of `examples/`, which have tests of their own.

#[doc = include_str!("../README.md")]
pub mod readme {}

#[doc = include_str!("src/introduction.md")]
pub mod introduction {}

#[doc = include_str!("src/first-stack.md")]
pub mod first_stack {}

#[doc = include_str!("src/one-layer.md")]
pub mod one_layer {}

#[doc = include_str!("src/failover.md")]
pub mod failover {}

#[doc = include_str!("src/load-balancing.md")]
pub mod load_balancing {}

#[doc = include_str!("src/design.md")]
pub mod design {}
