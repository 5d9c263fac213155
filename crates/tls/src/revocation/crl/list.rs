//! One list (RFC 5280 section 5), parsed once into something that can be searched.

use std::{
    cmp::Ordering,
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use der::{Reader, SliceReader, Tag, TagNumber};

use super::{
    super::{
        evidence::{Reason, Revoked},
        subject::{Subject, name_text},
    },
    CrlError,
    order::Order,
};
use crate::x509::{
    asn1::{
        self, Extension, constructed, extensions, id, integer, optional, point_uris, primitive,
        sequence, time, value, whole,
    },
    signed::{Algorithms, Signed},
};

/// How far the clocks of a CA and of this machine may be apart.
pub(in super::super) const SKEW: Duration = Duration::from_secs(300);

/// A list of revoked certificates.
pub(in super::super) struct List {
    /// The whole of it, as it was signed.
    der: Bytes,
    /// The contents of `revokedCertificates`.
    entries: Bytes,
    /// Where in `entries` each of them begins.
    order: Order,
    /// The issuer's `Name`, with its outer SEQUENCE.
    pub(super) issuer: Bytes,
    pub(in super::super) this_update: SystemTime,
    pub(in super::super) next_update: SystemTime,
    number: Option<Bytes>,
    /// The extension `issuingDistributionPoint` as it is, or nothing.
    point: Bytes,
    scope: Scope,
}

/// Which certificates a list speaks of.
#[derive(Default)]
struct Scope {
    /// `None` for all of the issuer's.
    uris: Option<Box<[Box<str>]>>,
    only_leaves: bool,
    only_cas: bool,
}

/// What a list says of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Listed {
    Good,
    Revoked(Revoked),
    /// It is out of date, or it is about others.
    Silent,
}

impl List {
    /// Reads all of it. Nothing in it is true before [`verify`](Self::verify) says so.
    pub(in super::super) fn parse(der: &Bytes) -> Result<Self, CrlError> {
        let raw = whole(der, |reader| sequence(reader, Raw::read)).map_err(CrlError::malformed)?;
        if !raw.has_known_version {
            return Err(CrlError::unsupported(
                "it has a version that does not exist",
            ));
        }
        let Some(next_update) = raw.next_update else {
            return Err(CrlError::unsupported(
                "it does not say when the next one is due, and would be believed for ever",
            ));
        };
        let mut this = Self {
            entries: slice(der, raw.entries),
            order: Order::new(Vec::new()),
            issuer: slice(der, raw.issuer),
            this_update: raw.this_update,
            next_update,
            number: None,
            point: Bytes::new(),
            scope: Scope::default(),
            der: der.clone(),
        };
        this.order = order(&this.entries)?;
        if let Some(bytes) = raw.extensions {
            this.read_extensions(der, bytes)?;
        }
        Ok(this)
    }

    fn read_extensions(&mut self, der: &Bytes, bytes: &[u8]) -> Result<(), CrlError> {
        let mut refused = None;
        whole(bytes, |reader| {
            extensions(
                reader,
                |Extension {
                     id,
                     critical,
                     value,
                 }| {
                    match id {
                        id::CRL_NUMBER => {
                            let number = whole(value, integer)?;
                            // RFC 5280 section 5.2.3: up to 20 octets, and never negative. One more for its sign.
                            if number.len() > 21 || number[0] >= 0x80 {
                                return Err(Tag::Integer.value_error());
                            }
                            self.number = Some(slice(der, number));
                        }
                        id::ISSUING_DISTRIBUTION_POINT => {
                            self.point = slice(der, value);
                            match whole(value, scope)? {
                                Ok(scope) => self.scope = scope,
                                Err(why) => refused = Some(why),
                            }
                        }
                        id::DELTA_CRL_INDICATOR => {
                            refused = Some("it is a delta, and needs another list");
                        }
                        _ if critical => {
                            refused = Some("it has a critical extension that is not understood");
                        }
                        _ => {}
                    }
                    Ok(())
                },
            )
        })
        .map_err(CrlError::malformed)?;
        refused.map_or(Ok(()), |why| Err(CrlError::unsupported(why)))
    }

    /// Verifies the signature by the issuer's key: work in proportion to the size of the list, done once.
    pub(in super::super) fn verify(
        &self,
        issuer_key: &[u8],
        algorithms: Algorithms,
    ) -> Result<(), CrlError> {
        let signed = whole(&self.der, |reader| sequence(reader, Signed::read))
            .map_err(CrlError::malformed)?;
        signed
            .verify(issuer_key, algorithms)
            .map_err(CrlError::signature)
    }

    /// What it says of `subject`, whose issuer signed it. A binary search; nothing is verified again.
    ///
    /// A list that is out of date does not say that a certificate is good. But a revocation is for good, unless it is a hold, and so an
    /// old list still says that.
    pub(in super::super) fn says(&self, subject: &Subject, now: SystemTime) -> Listed {
        if self.this_update > now + SKEW {
            return Listed::Silent;
        }
        let Some(is_whole) = self.covers(subject) else {
            return Listed::Silent;
        };
        let is_current = now < self.next_update;
        match self.find(&subject.serial) {
            Some(revoked) if is_current || !revoked.is_hold() => Listed::Revoked(revoked),
            None if is_current && is_whole => Listed::Good,
            Some(_) | None => Listed::Silent,
        }
    }

    /// Whether it is about `subject` (RFC 5280 section 6.3.3 step b), and if so, whether not to be listed means to be good.
    fn covers(&self, subject: &Subject) -> Option<bool> {
        if self.scope.only_leaves && subject.is_ca || self.scope.only_cas && !subject.is_ca {
            return None;
        }
        match (&self.scope.uris, &subject.points) {
            (None, _) => Some(true),
            (Some(uris), Some(points)) => points
                .iter()
                .any(|point| uris.contains(point))
                .then_some(true),
            // One part of several, and the certificate does not say in which part it would be.
            (Some(_), None) => Some(false),
        }
    }

    fn find(&self, serial: &[u8]) -> Option<Revoked> {
        let near = self.order.near(serial);
        let found = near
            .binary_search_by(|&at| self.at(at, Entry::serial).unwrap_or_default().cmp(serial))
            .ok()?;
        let entry = self.at(near[found], Entry::read)?;
        Some(Revoked {
            since: entry.since,
            reason: entry.reason,
        })
    }

    /// Reads of the entry that begins there. Every one was read when the list was, so this finds what it looks for.
    fn at<'a, T>(
        &'a self,
        at: u32,
        read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
    ) -> Option<T> {
        let bytes = self.entries.get(usize::try_from(at).ok()?..)?;
        read(&mut SliceReader::new(bytes).ok()?).ok()
    }

    /// Which of two lists for the same certificates is the later one. The number decides, as RFC 5280 section 5.2.3 has it; without
    /// one, the date.
    fn age(&self, other: &Self) -> Ordering {
        let by_number = match (&self.number, &other.number) {
            (Some(ours), Some(theirs)) => (ours.len(), ours).cmp(&(theirs.len(), theirs)),
            _ => Ordering::Equal,
        };
        by_number.then(self.this_update.cmp(&other.this_update))
    }

    /// Whether it says to be of the issuer of `subject`, and of now or before.
    pub(in super::super) fn check_issuer(
        &self,
        subject: &Subject,
        now: SystemTime,
    ) -> Result<(), CrlError> {
        if self.issuer != *subject.issuer_name {
            return Err(CrlError::foreign().about(self.issuer_text()));
        }
        if self.this_update > now + SKEW {
            return Err(CrlError::not_yet_valid().about(self.issuer_text()));
        }
        Ok(())
    }

    /// Whether it is an earlier list about the same certificates.
    pub(in super::super) fn is_before(&self, other: &Self) -> bool {
        self.is_about_the_same(other) && self.age(other).is_lt()
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        self.der.len()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether both are about the same certificates, if they are of one issuer.
    pub(super) fn is_about_the_same(&self, other: &Self) -> bool {
        self.point == other.point
    }

    /// The number in hexadecimal.
    pub(super) fn number_text(&self) -> Option<String> {
        let number = self.number.as_ref()?;
        Some(number.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn issuer_text(&self) -> String {
        name_text(&self.issuer)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("issuer", &self.issuer_text())
            .field("entries", &self.order.len())
            .finish_non_exhaustive()
    }
}

/// `part` is within `whole`. What is empty need not be.
fn slice(whole: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() {
        return Bytes::new();
    }
    whole.slice_ref(part)
}

/// The parts of a list.
struct Raw<'a> {
    has_known_version: bool,
    issuer: &'a [u8],
    this_update: SystemTime,
    next_update: Option<SystemTime>,
    entries: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> Raw<'a> {
    fn read(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        let signed = Signed::read(reader)?;
        whole(signed.message, |reader| {
            sequence(reader, |reader| {
                let has_known_version = match reader.peek_tag()? {
                    // v2. Version 1 is written by leaving it out.
                    Tag::Integer => integer(reader)? == [1],
                    _ => true,
                };
                if value(reader, Tag::Sequence)? != signed.algorithm {
                    return Err(Tag::Sequence.value_error());
                }
                let issuer = reader.tlv_bytes()?;
                let this_update = time(reader)?;
                let next_update = match (!reader.is_finished())
                    .then(|| reader.peek_tag())
                    .transpose()?
                {
                    Some(Tag::UtcTime | Tag::GeneralizedTime) => Some(time(reader)?),
                    _ => None,
                };
                Ok(Self {
                    has_known_version,
                    issuer,
                    this_update,
                    next_update,
                    entries: optional(reader, Tag::Sequence)?.unwrap_or_default(),
                    extensions: optional(reader, constructed(TagNumber::N0))?,
                })
            })
        })
    }
}

/// One of `revokedCertificates`.
struct Entry<'a> {
    serial: &'a [u8],
    since: SystemTime,
    reason: Reason,
    is_understood: bool,
}

impl<'a> Entry<'a> {
    /// The serial number alone, for the search.
    fn serial(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
        integer(&mut SliceReader::new(value(reader, Tag::Sequence)?)?)
    }

    fn read(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        sequence(reader, |reader| {
            let mut entry = Self {
                serial: integer(reader)?,
                since: time(reader)?,
                reason: Reason::Unspecified,
                is_understood: true,
            };
            if !reader.is_finished() {
                extensions(reader, |extension| {
                    if extension.id == id::CRL_REASON {
                        entry.reason = reason(extension.value)?;
                    } else {
                        entry.is_understood &= !extension.critical;
                    }
                    Ok(())
                })?;
            }
            Ok(entry)
        })
    }
}

/// `CRLReason` (RFC 5280 section 5.3.1).
fn reason(value: &[u8]) -> der::Result<Reason> {
    let code = whole(value, |reader| asn1::value(reader, Tag::Enumerated))?;
    Ok(Reason::from_code(code))
}

/// Reads every entry, and says where each begins, by serial number.
fn order(entries: &[u8]) -> Result<Order, CrlError> {
    let mut is_understood = true;
    let mut found = Vec::new();
    whole(entries, |reader| {
        while !reader.is_finished() {
            let at = u32::from(reader.position());
            let entry = Entry::read(reader)?;
            is_understood &= entry.is_understood;
            found.push((entry.serial, at));
        }
        Ok(())
    })
    .map_err(CrlError::malformed)?;
    if !is_understood {
        return Err(CrlError::unsupported(
            "an entry has a critical extension that is not understood, as indirect lists have",
        ));
    }
    Ok(Order::new(found))
}

/// `IssuingDistributionPoint` (RFC 5280 section 5.2.5). The inner error says what is not supported about it.
fn scope(reader: &mut SliceReader<'_>) -> der::Result<Result<Scope, &'static str>> {
    sequence(reader, |reader| {
        let name = optional(reader, constructed(TagNumber::N0))?;
        let only_leaves = flag(reader, TagNumber::N1)?;
        let only_cas = flag(reader, TagNumber::N2)?;
        let reasons = optional(reader, primitive(TagNumber::N3))?;
        let is_indirect = flag(reader, TagNumber::N4)?;
        let only_attributes = flag(reader, TagNumber::N5)?;
        if reasons.is_some() {
            return Ok(Err("it is about some reasons only"));
        }
        if is_indirect {
            return Ok(Err("it is indirect: about certificates of other issuers"));
        }
        if only_attributes {
            return Ok(Err("it is about attribute certificates"));
        }
        let uris = match name.map(point_uris).transpose()? {
            None => None,
            Some(Some(uris)) => Some(uris.into_iter().map(Into::into).collect()),
            Some(None) => return Ok(Err("its distribution point is relative to its issuer")),
        };
        Ok(Ok(Scope {
            uris,
            only_leaves,
            only_cas,
        }))
    })
}

fn flag(reader: &mut SliceReader<'_>, number: TagNumber) -> der::Result<bool> {
    Ok(optional(reader, primitive(number))?.is_some_and(|flag| flag != [0]))
}
