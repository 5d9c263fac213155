//! TLS for both ends, on rustls.

mod chain;
mod provider;
pub mod revocation;

pub use self::{
    chain::{Chain, Link},
    provider::Provider,
};
