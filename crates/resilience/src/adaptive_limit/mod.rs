//! Stub.
mod algorithm;
mod control;
mod layer;
mod service;
pub use self::{
    algorithm::{Aimd, Algorithm, Gradient2, Vegas, Window},
    layer::{AdaptiveLimitBuilder, AdaptiveLimitHandle, AdaptiveLimitLayer, AdaptiveLimitSnapshot, OnError},
    service::{AdaptiveLimit, ResponseFuture},
};
