//! The layer of one endpoint, and how it judges calls.

use std::{marker::PhantomData, sync::Arc};

use tower_layer::Layer;

use super::{
    record::{Core, Lane},
    service::Outlier,
    shared::Member,
};
use crate::{
    classify::{AtHead, OnError},
    stripes::thread_index,
};

/// Tells the detector how the calls to one endpoint end. Made by [`OutlierDetector`](super::OutlierDetector).
///
/// All services that it makes, and all their clones, are of the same endpoint.
#[derive(Debug)]
pub struct OutlierLayer<C = OnError, M = AtHead> {
    lanes: Arc<Lanes<C>>,
    mode: PhantomData<M>,
}

impl<C, M> OutlierLayer<C, M> {
    pub(super) fn new(member: Arc<Member>, classify: C) -> Self {
        Self {
            lanes: Arc::new(Lanes::new(member, classify)),
            mode: PhantomData,
        }
    }

    /// Sets what counts as a failure: a closure, or any other [`Classify`](bartizan_core::Classify).
    ///
    /// [`Outcome::Failure`](bartizan_core::Outcome::Failure) fails; [`Success`](bartizan_core::Outcome::Success) and [`Throttled`](bartizan_core::Outcome::Throttled) do not, since a peer that asks
    /// for less works; [`Ignored`](bartizan_core::Outcome::Ignored) counts as nothing.
    pub fn classify<D>(self, classify: D) -> OutlierLayer<D, M> {
        OutlierLayer::new(Arc::clone(&self.lanes.member), classify)
    }
}

impl<C, M> Clone for OutlierLayer<C, M> {
    fn clone(&self) -> Self {
        Self {
            lanes: Arc::clone(&self.lanes),
            mode: PhantomData,
        }
    }
}

impl<S, C, M> Layer<S> for OutlierLayer<C, M> {
    type Service = Outlier<S, C, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Outlier::new(inner, Arc::clone(&self.lanes))
    }
}

/// One lane per stripe, for calls to hold on to without all of them counting on one word.
#[derive(Debug)]
pub(super) struct Lanes<C> {
    member: Arc<Member>,
    lanes: Box<[Arc<Lane<C>>]>,
}

impl<C> Lanes<C> {
    fn new(member: Arc<Member>, classify: C) -> Self {
        let classify = Arc::new(classify);
        let lane = |stripe| {
            Arc::new(Lane {
                core: Arc::clone(&member.core),
                stripe,
                classify: Arc::clone(&classify),
            })
        };
        Self {
            lanes: (0..member.core.stripes()).map(lane).collect(),
            member,
        }
    }

    pub(super) fn core(&self) -> &Core {
        &self.member.core
    }

    /// The lane of this thread.
    pub(super) fn lane(&self) -> &Arc<Lane<C>> {
        // The number of lanes is a power of two.
        &self.lanes[thread_index() & (self.lanes.len() - 1)]
    }
}
