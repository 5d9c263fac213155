//! `multipart/form-data` (RFC 7578), part by part as it arrives.
//!
//! [`Multipart`] is a stream of parts, and a [`Part`] one of data. Nothing is kept but what has to be: the head of one part, and of its
//! data what may turn out to be a boundary. A part that is not read is skipped.
//!
//! # Limits
//!
//! [`MultipartLimits`], in the extensions of the request, all with defaults: bytes in all and of each part, parts, the head of each, and
//! what is read into memory at once. More is 413; all but the last end the body, too.
//!
//! # Readiness and cancellation
//!
//! [`Multipart::next_part`] and [`Part::chunk`] can be dropped and called again: nothing is lost. What takes the whole [`Part`] takes with
//! it what it has read. After an error of the body, the same error comes back. A peer that sends slowly is the listener's matter, or that
//! of a timeout above: nothing here waits for a clock.
//!
//! # Errors
//!
//! [`ExtractError`](super::ExtractError): media types and charsets that are not read, bodies that break off or are no multipart, and
//! limits. A part without a name, two names for one part, line ends that are not CRLF, and a body that ends before its last boundary are
//! no multipart: what a lenient parser makes of them is not what the next one does, and uploads have gone past filters that way.
//!
//! # Differences from multer, and `axum::extract::Multipart` over it
//!
//! - The number of parts and the size of their heads are limited, and there are limits without asking for them.
//! - It reads when it needs more. multer reads all that is there, and keeps it.
//! - Two parameters or headers of one name are refused.
//! - Only `multipart/form-data`, whose parts have names. Nested multipart is data of its part.

mod head;
mod limits;
mod parser;
mod part;

pub(super) use self::parser::{Parser, Pull};
pub use self::{
    limits::MultipartLimits,
    part::{Multipart, Part},
};
