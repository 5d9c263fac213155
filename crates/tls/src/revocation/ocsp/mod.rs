//! Asking a responder, and understanding what it says (RFC 6960).

mod error;
mod request;
mod response;

pub use self::request::CertIdHash;
pub(super) use self::{
    error::OcspError,
    request::{Nonce, request},
    response::{Answer, Origin, Status, read},
};
