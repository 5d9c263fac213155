//! Lists of revoked certificates.

mod error;
mod index;
mod list;
mod order;

pub use self::{
    error::CrlError,
    index::{CrlIndex, CrlInfo, CrlPlace},
};
pub(super) use self::{
    index::{parse_off_thread, verify_off_thread},
    list::{List, Listed, SKEW},
};
