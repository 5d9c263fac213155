//! CAs that issue, revoke and answer as the tests want them to.

mod ca;
mod lists;
mod responses;
mod web;

use std::time::{Duration, SystemTime};

use bartizan_tls::{
    Chain, Provider,
    revocation::{Engine, Refusal, Revocation, Verdict},
};
use time::OffsetDateTime;

pub(super) use self::{
    ca::{Ca, Wish},
    lists::List,
    responses::{Response, nonce_of, revoked},
    web::Web,
};

/// When the tests take place, in seconds: some day in November 2023.
const NOW: i64 = 1_700_000_000;
pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;

pub(super) fn now() -> SystemTime {
    at(0)
}

/// So many seconds from now.
pub(super) fn at(offset: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW + offset).expect("after 1970"))
}

fn date(offset: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + offset).expect("a date")
}

pub(super) fn provider() -> Provider {
    Provider::aws_lc()
}

pub(super) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("short").to_be_bytes();
    match length {
        [0, length @ 0..0x80] => [&[tag, length][..], value].concat(),
        [0, length] => [&[tag, 0x81, length][..], value].concat(),
        [high, low] => [&[tag, 0x82, high, low][..], value].concat(),
    }
}

/// What a handshake comes to, without a staple.
pub(super) async fn connect(engine: &Revocation, chain: &Chain) -> Result<Verdict, Refusal> {
    connect_with(engine, chain, &[], now()).await
}

pub(super) async fn connect_with(
    engine: &Revocation,
    chain: &Chain,
    staple: &[u8],
    now: SystemTime,
) -> Result<Verdict, Refusal> {
    engine.in_handshake(chain, staple, now)?;
    engine.after_handshake(chain, now).await
}
