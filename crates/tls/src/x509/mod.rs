//! Certificates, read in place: what webpki does not tell of them, and what revocation asks about.
//!
//! webpki is the judge of what is a certificate; this reads those that it let pass, and must survive any others. It is as strict as
//! it can be without refusing what CAs issue: what reads in two ways is an error.

pub(crate) mod asn1;
mod certificate;
mod names;
pub(crate) mod signed;

use std::time::{Duration, SystemTime};

use der::{Encode as _, Tag, asn1::AnyRef};
use rustls_pki_types::UnixTime;

pub use self::names::PeerName;
pub(crate) use self::{
    certificate::{Certificate, Usage, has_status_request},
    names::read_names,
};

/// A SEQUENCE of this content: webpki and the trust anchors leave out the header of names and keys.
pub(crate) fn sequence(content: &[u8]) -> Result<Vec<u8>, der::Error> {
    AnyRef::new(Tag::Sequence, content)?.to_der()
}

/// The time of the verifier, as a wall clock shows it.
pub(crate) fn system_time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}
