//! The answer.

use std::time::{Duration, SystemTime};

use der::oid::AssociatedOid;
use der::{
    Decode, Reader, Result as DerResult, SliceReader, Tag, TagNumber,
    asn1::{AnyRef, OctetStringRef},
    oid::db::rfc5912,
};
use sha1::{Digest, Sha1};
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus,
    ResponseData, SingleResponse, ext,
};

use super::{
    super::{
        crl::SKEW,
        evidence::{Reason, Revoked},
        subject::Subject,
    },
    CertIdHash, Nonce, OcspError,
};
use crate::x509::{
    Certificate,
    asn1::{constructed, optional, sequence, value, whole},
    signed::{Algorithms, PublicKey, Signed},
};

/// A response about one certificate has some kilobytes, with the responder's certificates.
pub(in super::super) const MAX_SIZE: usize = 64 << 10;

/// So many certificates are looked at for the one that signed.
const MAX_CERTIFICATES: usize = 8;

/// For how long an answer counts that does not say: RFC 6960 section 4.2.2.1 has it that newer information is available at any time.
const WITHOUT_END: Duration = Duration::from_secs(3600);

/// Where a response comes from.
#[derive(Clone, Copy)]
pub(in super::super) enum Origin<'a> {
    /// From the peer, who may send an old one.
    Staple,
    /// From the responder, which was asked with this nonce.
    Responder(Option<&'a Nonce>),
}

/// What a responder says about a certificate, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Answer {
    status: Status,
    pub(in super::super) this_update: SystemTime,
    pub(in super::super) next_update: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Status {
    Good,
    Revoked(Revoked),
    /// The responder does not know the certificate.
    Unknown,
}

impl Answer {
    /// What it says now. `None` if it is out of date: then it says nothing, except that a certificate was revoked for good.
    pub(in super::super) fn status(&self, now: SystemTime) -> Option<&Status> {
        if self.this_update > now + SKEW {
            return None;
        }
        match &self.status {
            Status::Revoked(revoked) if !revoked.is_hold() => Some(&self.status),
            status => (now < self.until()).then_some(status),
        }
    }

    /// When it is out of date.
    pub(in super::super) fn until(&self) -> SystemTime {
        match self.next_update {
            Some(next_update) => next_update + SKEW,
            None => self.this_update + WITHOUT_END + SKEW,
        }
    }
}

/// Reads a response, and believes it if whoever may answer for the issuer of `subject` signed it, now, about this certificate.
pub(in super::super) fn read(
    response: &[u8],
    subject: &Subject,
    origin: Origin<'_>,
    now: SystemTime,
    algorithms: Algorithms,
) -> Result<Answer, OcspError> {
    if response.len() > MAX_SIZE {
        return Err(OcspError::TooLarge);
    }
    let outer = OcspResponse::from_der(response).map_err(OcspError::Malformed)?;
    refusal(outer.response_status)?;
    let Some(bytes) = outer.response_bytes else {
        return Err(OcspError::Malformed(Tag::Sequence.value_error()));
    };
    if bytes.response_type != BasicOcspResponse::OID {
        return Err(OcspError::Unsupported(
            "the OCSP response is not of the basic type",
        ));
    }
    let basic = whole(bytes.response.as_bytes(), Basic::read).map_err(OcspError::Malformed)?;
    let data = ResponseData::from_der(basic.signed.message).map_err(OcspError::Malformed)?;
    let answer = find(&data, subject)?;
    check_extensions(&data, answer, origin)?;
    basic.verify(subject, now, algorithms)?;
    let answer = Answer::new(&data, answer, origin)?;
    answer.check_time(now)?;
    Ok(answer)
}

fn refusal(status: OcspResponseStatus) -> Result<(), OcspError> {
    Err(OcspError::Refused(match status {
        OcspResponseStatus::Successful => return Ok(()),
        OcspResponseStatus::TryLater => "the responder is busy (tryLater)",
        OcspResponseStatus::InternalError => "the responder failed (internalError)",
        OcspResponseStatus::MalformedRequest => {
            "the responder did not understand the request (malformedRequest)"
        }
        OcspResponseStatus::SigRequired => {
            "the responder wants signed requests (sigRequired), which are not made"
        }
        OcspResponseStatus::Unauthorized => {
            "the responder does not answer for this certificate (unauthorized)"
        }
    }))
}

/// The one answer about `subject`; the latest, if there are several.
fn find<'a>(data: &'a ResponseData, subject: &Subject) -> Result<&'a SingleResponse, OcspError> {
    let key = PublicKey::parse(&subject.issuer_key).map_err(OcspError::Malformed)?;
    let is_about = |answer: &&SingleResponse| {
        let id = &answer.cert_id;
        let hash = match id.hash_algorithm.oid {
            rfc5912::ID_SHA_1 => CertIdHash::Sha1,
            rfc5912::ID_SHA_256 => CertIdHash::Sha256,
            _ => return false,
        };
        id.serial_number.as_bytes() == &*subject.serial
            && id.issuer_name_hash.as_bytes() == hash.digest(&subject.issuer_name)
            && id.issuer_key_hash.as_bytes() == hash.digest(key.bits)
    };
    data.responses
        .iter()
        .filter(is_about)
        .max_by_key(|answer| answer.this_update.0.to_unix_duration())
        .ok_or(OcspError::Foreign(
            "the OCSP response is about another certificate",
        ))
}

fn check_extensions(
    data: &ResponseData,
    answer: &SingleResponse,
    origin: Origin<'_>,
) -> Result<(), OcspError> {
    let of_all = data.response_extensions.iter().flatten();
    let of_one = answer.single_extensions.iter().flatten();
    for extension in of_all.clone().chain(of_one) {
        if extension.critical && extension.extn_id != ext::Nonce::OID {
            return Err(OcspError::Unsupported(
                "the OCSP response has a critical extension that is not understood",
            ));
        }
    }
    let Origin::Responder(Some(asked)) = origin else {
        return Ok(());
    };
    for nonce in of_all.filter(|extension| extension.extn_id == ext::Nonce::OID) {
        let nonce = OctetStringRef::from_der(nonce.extn_value.as_bytes());
        if nonce.map_err(OcspError::Malformed)?.as_bytes() != asked {
            return Err(OcspError::Foreign(
                "the OCSP response answers another request: its nonce is not ours",
            ));
        }
    }
    // Responders that answer from a store leave it out (RFC 5019 section 4), and the times bound a replay.
    Ok(())
}

impl Answer {
    fn new(
        data: &ResponseData,
        answer: &SingleResponse,
        origin: Origin<'_>,
    ) -> Result<Self, OcspError> {
        let next_update = answer.next_update.map(time);
        if next_update.is_none() && matches!(origin, Origin::Staple) {
            return Err(OcspError::Time(
                "the staple does not say until when it counts",
            ));
        }
        let this_update = time(answer.this_update);
        if next_update.is_some_and(|next_update| next_update < this_update)
            || time(data.produced_at) + SKEW < this_update
        {
            return Err(OcspError::Time(
                "the OCSP response's times contradict each other",
            ));
        }
        Ok(Self {
            status: match &answer.cert_status {
                CertStatus::Good(_) => Status::Good,
                CertStatus::Unknown(_) => Status::Unknown,
                CertStatus::Revoked(info) => Status::Revoked(Revoked {
                    since: time(info.revocation_time),
                    reason: info
                        .revocation_reason
                        .map_or(Reason::Unspecified, |reason| {
                            u8::try_from(reason as u32)
                                .map_or(Reason::Unspecified, |code| Reason::from_code(&[code]))
                        }),
                }),
            },
            this_update,
            next_update,
        })
    }

    fn check_time(&self, now: SystemTime) -> Result<(), OcspError> {
        if self.status(now).is_some() {
            return Ok(());
        }
        Err(OcspError::Time(if self.this_update > now {
            "the OCSP response is from the future; check this machine's clock"
        } else {
            "the OCSP response is out of date"
        }))
    }
}

fn time(at: OcspGeneralizedTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + at.0.to_unix_duration()
}

/// `BasicOCSPResponse` (RFC 6960 section 4.2.1) as it was sent.
struct Basic<'a> {
    signed: Signed<'a>,
    responder: Responder<'a>,
    certificates: Vec<&'a [u8]>,
}

/// Who says that it signed.
enum Responder<'a> {
    /// A `Name`.
    Name(&'a [u8]),
    /// The SHA-1 of its key.
    Key(&'a [u8]),
}

impl<'a> Basic<'a> {
    fn read(reader: &mut SliceReader<'a>) -> DerResult<Self> {
        sequence(reader, |reader| {
            let signed = Signed::read(reader)?;
            let mut certificates = Vec::new();
            if let Some(all) = optional(reader, constructed(TagNumber::N0))? {
                whole(all, |reader| {
                    sequence(reader, |reader| {
                        while !reader.is_finished() {
                            let certificate = reader.tlv_bytes()?;
                            if certificates.len() < MAX_CERTIFICATES {
                                certificates.push(certificate);
                            }
                        }
                        Ok(())
                    })
                })?;
            }
            Ok(Self {
                signed,
                responder: responder(signed.message)?,
                certificates,
            })
        })
    }

    /// The issuer signed it, or a delegate whose certificate the issuer signed itself (RFC 6960 section 4.2.2.2).
    fn verify(
        &self,
        subject: &Subject,
        now: SystemTime,
        algorithms: Algorithms,
    ) -> Result<(), OcspError> {
        let mut why =
            OcspError::Signer("the OCSP response does not have its signer's certificate with it");
        if self.responder.is(&subject.issuer_name, &subject.issuer_key) {
            match self.signed.verify(&subject.issuer_key, algorithms) {
                Ok(()) => return Ok(()),
                // A delegate may have the issuer's name.
                Err(error) => why = OcspError::Signature(error),
            }
        }
        for certificate in &self.certificates {
            let certificate = Certificate::parse(certificate).map_err(OcspError::Malformed)?;
            if !self.responder.is(certificate.subject, certificate.key) {
                continue;
            }
            match delegate(&certificate, subject, now, algorithms)? {
                Ok(()) => {
                    return self
                        .signed
                        .verify(certificate.key, algorithms)
                        .map_err(OcspError::Signature);
                }
                Err(reason) => why = OcspError::Signer(reason),
            }
        }
        Err(why)
    }
}

/// Whether the issuer of `subject` lets this certificate answer for it.
fn delegate(
    certificate: &Certificate<'_>,
    subject: &Subject,
    now: SystemTime,
    algorithms: Algorithms,
) -> Result<Result<(), &'static str>, OcspError> {
    if certificate.issuer != &*subject.issuer_name
        || certificate
            .signed
            .verify(&subject.issuer_key, algorithms)
            .is_err()
    {
        return Ok(Err(
            "the OCSP response is signed by somebody whom the issuer did not appoint",
        ));
    }
    if now < certificate.not_before || now > certificate.not_after {
        return Ok(Err(
            "the certificate of the OCSP response's signer is not valid now",
        ));
    }
    if !certificate.may_answer().map_err(OcspError::Malformed)? {
        return Ok(Err(
            "the certificate of the OCSP response's signer is not for that (OCSPSigning)",
        ));
    }
    Ok(Ok(()))
}

impl Responder<'_> {
    fn is(&self, name: &[u8], key: &[u8]) -> bool {
        match self {
            Self::Name(responder) => *responder == name,
            Self::Key(hash) => {
                PublicKey::parse(key).is_ok_and(|key| *hash == Sha1::digest(key.bits).as_slice())
            }
        }
    }
}

/// The `responderID` of `ResponseData`, whose name has to be compared as it was sent.
fn responder(data: &[u8]) -> DerResult<Responder<'_>> {
    let mut reader = SliceReader::new(value(&mut SliceReader::new(data)?, Tag::Sequence)?)?;
    optional(&mut reader, constructed(TagNumber::N0))?;
    let id = AnyRef::decode(&mut reader)?;
    match der::Tagged::tag(&id) {
        tag if tag == constructed(TagNumber::N1) => Ok(Responder::Name(id.value())),
        tag if tag == constructed(TagNumber::N2) => Ok(Responder::Key(
            OctetStringRef::from_der(id.value())?.as_bytes(),
        )),
        tag => Err(tag.value_error()),
    }
}
