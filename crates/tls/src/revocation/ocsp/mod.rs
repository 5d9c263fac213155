//! Asking a responder, and understanding what it says (RFC 6960).

mod error;
mod question;
mod request;
mod response;

pub use self::request::CertIdHash;
pub(super) use self::{
    error::OcspError,
    question::{Question, does_not_count},
    request::Nonce,
    response::{Answer, MAX_SIZE, Origin, Status, read},
};
