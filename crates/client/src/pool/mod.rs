//! Connections, kept for the next request.
mod body;
mod call;
mod config;
mod connection;
mod core;
mod events;
mod frames;
mod handover;
mod inner;
mod io;
mod lease;
mod origin;
mod returning;
mod send_body;
mod service;
mod stats;
mod sync;

pub use self::{
    body::ResponseBody,
    config::PoolBuilder,
    events::{ClosedBy, ConnectionInfo, PoolEvent},
    origin::OriginService,
    service::{Pool, PoolFuture},
    stats::PoolStats,
};

pub(crate) use self::config::Config;

/// For the fuzz targets.
#[doc(hidden)]
pub mod fuzzing {
    pub use super::frames::{FrameWatch, Told};
}
