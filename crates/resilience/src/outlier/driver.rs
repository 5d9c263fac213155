//! What runs beside the calls: the sweeps in time, and the news.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    detector::{OutlierDetector, OutlierStatus},
    shared::Shared,
};

/// Sweeps when it is time. Made by [`OutlierDetector::driver`], and does nothing unless it is polled: spawn it.
///
/// It ends when the detector, its layers and all their services and calls are gone. More than one does no harm.
#[must_use = "futures do nothing unless polled"]
pub struct OutlierDriver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl OutlierDriver {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Box::pin(drive(
            Arc::downgrade(shared),
            shared.changes.subscribe(),
        )))
    }
}

async fn drive(shared: Weak<Shared>, mut changes: watch::Receiver<()>) {
    // Nothing is held over the wait that would keep the detector from ending.
    while let Some(due) = shared.upgrade().map(|shared| shared.sweep(Instant::now())) {
        // A change may be an ejection, whose end may come before the next sweep.
        if let Ok(Err(_)) = timeout_at(due, changes.changed()).await {
            return;
        }
    }
}

impl Future for OutlierDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for OutlierDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutlierDriver").finish_non_exhaustive()
    }
}

/// Waits for ejections and returns. Made by [`OutlierDetector::watch`].
#[derive(Clone, Debug)]
pub struct OutlierWatch {
    detector: OutlierDetector,
    changes: watch::Receiver<()>,
}

impl OutlierWatch {
    pub(super) fn new(detector: OutlierDetector) -> Self {
        let changes = detector.shared.changes.subscribe();
        Self { detector, changes }
    }

    /// Waits until an endpoint was ejected or came back, and answers how all stand then. Changes that came faster than they were
    /// asked for are told together. Dropping the future loses none.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the sender cannot be gone while `self` holds the detector"
    )]
    pub async fn changed(&mut self) -> Vec<OutlierStatus> {
        self.changes
            .changed()
            .await
            .expect("the detector holds the sender");
        self.detector.snapshot()
    }
}
