//! How HTTP is spoken: the settings, and what holds peers to them.
//!
//! hyper parses and frames; here is what it leaves open. Times and rates are watched by one timer per connection, frames of HTTP/2 are
//! counted as they pass, and heads and bodies are measured between hyper and the service.

mod alarm;
mod bell;
mod frames;
mod handover;
mod head;
mod rate;
mod request_body;
mod seen;
mod settings;
mod speak;
mod streams;
mod timer;
mod vigil;
mod watch;

use std::time::Duration;

pub(crate) use self::{
    frames::{Budgets, Frames, calm},
    handover::{Forget, hand_over, handed_over},
    head::{Refusal, check},
    request_body::{Guarded, is_over_limit},
    seen::Seen,
    settings::capped,
    speak::{Speaker, Speaking},
    streams::Streams,
    vigil::{Bounds, Sight, Verdict, Why},
    watch::Watch,
};
pub use self::{
    frames::{FrameCounts, FrameLimit},
    rate::MinRate,
    request_body::RequestBodyError,
    settings::{HttpSettings, HttpSettingsBuilder, Protocols},
};

/// Later than anybody waits for. Longer times would overflow the clock.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the frames cost, how many there are of each kind, and whether the last head is incomplete: read in pieces of that size.
pub(crate) fn read_frames(bytes: &[u8], piece: usize) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut frames = Frames::new(0);
    let mut costs = Vec::new();
    for piece in bytes.chunks(piece) {
        frames.read(piece, |cost| costs.push(cost));
    }
    let last = frames.last_stream();
    (costs, frames.counts(), frames.is_in_head(), last)
}
