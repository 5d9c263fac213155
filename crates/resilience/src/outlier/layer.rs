//! The layer of one endpoint, and how it judges calls.

use std::{marker::PhantomData, sync::Arc};

use tower_layer::Layer;

use super::{record::Lane, service::Outlier, shared::Member};
use crate::{
    classify::{AtHead, OnError},
    stripes::Lanes,
};

/// Tells the detector how the calls to one endpoint end. Made by [`OutlierDetector`](super::OutlierDetector).
///
/// All services that it makes, and all their clones, are of the same endpoint.
#[derive(Debug)]
pub struct OutlierLayer<C = OnError, M = AtHead> {
    post: Arc<Post<C>>,
    mode: PhantomData<M>,
}

impl<C, M> OutlierLayer<C, M> {
    pub(super) fn new(member: Arc<Member>, classify: C) -> Self {
        Self {
            post: Arc::new(Post::new(member, classify)),
            mode: PhantomData,
        }
    }

    /// Sets what counts as a failure: a closure, or any other [`Classify`](bartizan_core::Classify).
    ///
    /// [`Outcome::Failure`](bartizan_core::Outcome::Failure) fails; [`Success`](bartizan_core::Outcome::Success) and [`Throttled`](bartizan_core::Outcome::Throttled) do not, since a peer that asks
    /// for less works; [`Ignored`](bartizan_core::Outcome::Ignored) counts as nothing.
    pub fn classify<D>(self, classify: D) -> OutlierLayer<D, M> {
        OutlierLayer::new(Arc::clone(&self.post.member), classify)
    }
}

impl<C, M> Clone for OutlierLayer<C, M> {
    fn clone(&self) -> Self {
        Self {
            post: Arc::clone(&self.post),
            mode: PhantomData,
        }
    }
}

impl<S, C, M> Layer<S> for OutlierLayer<C, M> {
    type Service = Outlier<S, C, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Outlier::new(inner, Arc::clone(&self.post))
    }
}

/// The endpoint, which is one of the set as long as this is there, and what its calls hold on to, which does not keep it there.
#[derive(Debug)]
pub(super) struct Post<C> {
    member: Arc<Member>,
    pub(super) lanes: Lanes<Lane<C>>,
}

impl<C> Post<C> {
    fn new(member: Arc<Member>, classify: C) -> Self {
        Self {
            lanes: Lanes::new(&Lane {
                core: Arc::clone(&member.core),
                classify: Arc::new(classify),
            }),
            member,
        }
    }
}
