//! Version 2: binary, with a length of its own.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use super::{Parsed, ProxyHeader, ProxyProtocolError, Tlvs, crc32c::crc32c};
use crate::Address;

/// No line of HTTP or TLS record begins like that.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;

/// The checksum's type of TLV, and its size.
const CRC32C: u8 = 0x03;
const CRC32C_LEN: usize = 4;

/// Bytes of a Unix address.
const UNIX: usize = 108;

pub(super) fn parse(bytes: &[u8], max_len: usize) -> Result<Parsed, ProxyProtocolError> {
    let Some(([.., version_command, family_transport, high, low], _)) =
        bytes.split_first_chunk::<FIXED>()
    else {
        return Ok(Parsed::Incomplete);
    };
    if version_command >> 4 != 2 {
        return Err(malformed("a version that is not 2"));
    }
    let len = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if len > max_len {
        return Err(malformed("more than it may have"));
    }
    let Some(whole) = bytes.get(..len) else {
        return Ok(Parsed::Incomplete);
    };
    let rest = &whole[FIXED..];
    let header = match version_command & 0xf {
        // The proxy's own, such as a health check. All the rest is to be ignored.
        0 => ProxyHeader::local(2),
        1 => proxied(*family_transport, whole, rest)?,
        _ => return Err(malformed("neither LOCAL nor PROXY")),
    };
    Ok(Parsed::Header { header, len })
}

fn proxied(
    family_transport: u8,
    whole: &[u8],
    rest: &[u8],
) -> Result<ProxyHeader, ProxyProtocolError> {
    match family_transport & 0xf {
        0 | 1 => {}
        2 => return Err(malformed("datagrams, on a connection")),
        _ => return Err(malformed("a transport that there is not")),
    }
    let (addresses, tlvs) = match family_transport >> 4 {
        0 => (None, rest),
        1 => {
            let (addresses, tlvs) = inet(rest)?;
            (Some(addresses), tlvs)
        }
        2 => {
            let (addresses, tlvs) = inet6(rest)?;
            (Some(addresses), tlvs)
        }
        3 => {
            let (addresses, tlvs) = unix(rest)?;
            (Some(addresses), tlvs)
        }
        _ => return Err(malformed("a family of addresses that there is not")),
    };
    check(whole, tlvs)?;
    Ok(match addresses {
        Some((source, destination)) => ProxyHeader::new(2, source, destination, tlvs),
        None => ProxyHeader::unknown(2).with_tlvs(tlvs),
    })
}

type Addresses<'a> = Result<((Address, Address), &'a [u8]), ProxyProtocolError>;

fn inet(rest: &[u8]) -> Addresses<'_> {
    let (
        [
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3, //
            sp0,
            sp1,
            dp0,
            dp1,
        ],
        tlvs,
    ) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
    let source = SocketAddr::from((
        Ipv4Addr::new(*s0, *s1, *s2, *s3),
        u16::from_be_bytes([*sp0, *sp1]),
    ));
    let destination = SocketAddr::from((
        Ipv4Addr::new(*d0, *d1, *d2, *d3),
        u16::from_be_bytes([*dp0, *dp1]),
    ));
    Ok(((source.into(), destination.into()), tlvs))
}

fn inet6(rest: &[u8]) -> Addresses<'_> {
    let (source, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
    let ([sp0, sp1, dp0, dp1], tlvs) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let address = |ip: [u8; 16], port| SocketAddr::from((Ipv6Addr::from(ip), port)).into();
    let source = address(*source, u16::from_be_bytes([*sp0, *sp1]));
    let destination = address(*destination, u16::from_be_bytes([*dp0, *dp1]));
    Ok(((source, destination), tlvs))
}

fn unix(rest: &[u8]) -> Addresses<'_> {
    let (source, rest) = rest.split_first_chunk::<UNIX>().ok_or(SHORT)?;
    let (destination, tlvs) = rest.split_first_chunk::<UNIX>().ok_or(SHORT)?;
    Ok(((name(source), name(destination)), tlvs))
}

/// As the system has it: up to the first zero, unless that comes first, which makes it a name of the abstract namespace.
fn name(bytes: &[u8; UNIX]) -> Address {
    let (mark, bytes) = match bytes {
        [0, rest @ ..] => ("@", rest.as_slice()),
        all => ("", all.as_slice()),
    };
    let end = bytes.iter().position(|byte| *byte == 0);
    let name = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]);
    if name.is_empty() {
        return Address::Unix(None);
    }
    Address::Unix(Some(Path::new(&format!("{mark}{name}")).into()))
}

/// That what is left are TLVs to the last byte, and that the checksum, if there is one, is right.
fn check(whole: &[u8], tlvs: &[u8]) -> Result<(), ProxyProtocolError> {
    let mut rest = Tlvs::new(tlvs);
    let mut checked = false;
    while !rest.as_bytes().is_empty() {
        let tlv = rest.next().ok_or(malformed("a TLV that is cut off"))?;
        if tlv.kind != CRC32C {
            continue;
        }
        if checked {
            return Err(malformed("two checksums"));
        }
        checked = true;
        let given: [u8; CRC32C_LEN] = tlv
            .value
            .try_into()
            .map_err(|_| malformed("a checksum that is not one"))?;
        // It is computed with zeros in its own place.
        let after = whole.len() - rest.as_bytes().len();
        let place = after - CRC32C_LEN..after;
        let bytes = whole.iter().enumerate();
        let actual = crc32c(bytes.map(|(at, byte)| if place.contains(&at) { 0 } else { *byte }));
        if actual != u32::from_be_bytes(given) {
            return Err(malformed("a checksum that is wrong"));
        }
    }
    Ok(())
}

const SHORT: ProxyProtocolError = malformed("addresses that are cut off");

const fn malformed(what: &'static str) -> ProxyProtocolError {
    ProxyProtocolError::malformed(what)
}

#[cfg(test)]
#[path = "v2_tests.rs"]
mod tests;
