//! The deadline over handshakes, and their number.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bartizan_core::BoxError;
use tokio::{sync::Semaphore, time};
use tower_service::Service;

use super::HandshakeError;
use crate::Accepted;

/// Performs handshakes, so many at once, each within its time. Clones share the places.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    timeout: Duration,
    max: usize,
    places: Arc<Semaphore>,
}

impl Gate {
    /// Several round trips over a bad line, lost packets included.
    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Each waits for its peer most of the time; the work of so many at once is some seconds of one core.
    const MAX: usize = 1024;

    pub(crate) fn new() -> Self {
        Self {
            timeout: Self::TIMEOUT,
            max: Self::MAX,
            places: Arc::new(Semaphore::new(Self::MAX)),
        }
    }

    pub(crate) const fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max.clamp(1, Semaphore::MAX_PERMITS);
        self.places = Arc::new(Semaphore::new(self.max));
    }

    /// How many connections a stream may hold: as many under way as may be, and as many again that wait.
    pub(crate) const fn bound(&self) -> usize {
        self.max.saturating_mul(2)
    }

    pub(crate) async fn perform<H, IO, T>(
        &self,
        mut handshake: H,
        accepted: Accepted<IO>,
    ) -> Result<Accepted<T>, HandshakeError>
    where
        H: Service<Accepted<IO>, Response = Accepted<T>>,
        H::Error: Into<BoxError>,
    {
        let peer = accepted.info.peer().clone();
        let performed = time::timeout(self.timeout, async {
            let place = self.places.acquire().await;
            let _place = place.expect("nobody closes the semaphore");
            poll_fn(|cx| handshake.poll_ready(cx)).await?;
            handshake.call(accepted).await
        });
        match performed.await {
            Ok(Ok(accepted)) => Ok(accepted),
            Ok(Err(error)) => Err(HandshakeError::failed(peer, error.into())),
            Err(_) => Err(HandshakeError::timed_out(peer, self.timeout)),
        }
    }
}
