//! Ejects.

mod detector;
mod driver;
mod layer;
mod policy;
mod record;
mod service;
mod state;

#[cfg(feature = "http")]
pub use self::layer::AtEnd;
pub use self::{
    detector::{OutlierDetector, OutlierDetectorBuilder, OutlierStatus},
    driver::{OutlierDriver, OutlierWatch},
    layer::{AtHead, OnError, OutlierLayer},
    policy::{EjectionCause, FailurePercentage, SuccessRate},
    service::{Outlier, Report, ResponseFuture},
};
