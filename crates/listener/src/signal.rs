//! The signals by which a process is asked to stop.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use crate::ShutdownHandle;

/// Drains at the first signal, cuts at the second.
///
/// The handlers are installed when this is first polled.
pub(crate) async fn obey(handle: ShutdownHandle) {
    match signals() {
        Ok(signals) => heed(signals, handle).await,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals: only the handle shuts down");
        }
    }
}

async fn heed(
    mut signals: impl FnMut(&mut Context<'_>) -> Poll<()> + Send,
    handle: ShutdownHandle,
) {
    poll_fn(&mut signals).await;
    tracing::info!("signal received: shutting down, a second signal cuts");
    handle.shutdown();
    poll_fn(&mut signals).await;
    tracing::warn!("second signal received: cutting");
    handle.cut();
}

#[cfg(unix)]
fn signals() -> io::Result<impl FnMut(&mut Context<'_>) -> Poll<()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(move |cx: &mut Context<'_>| {
        // Both are polled, so that both wake.
        let (interrupted, terminated) = (interrupt.poll_recv(cx), terminate.poll_recv(cx));
        match (interrupted, terminated) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl FnMut(&mut Context<'_>) -> Poll<()> + Send> {
    let mut ctrl_c = tokio::signal::windows::ctrl_c()?;
    Ok(move |cx: &mut Context<'_>| ctrl_c.poll_recv(cx).map(drop))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::mpsc;

    use super::*;
    use crate::drain::{Drain, Phase};

    #[test]
    fn the_first_drains_and_the_second_cuts() {
        let (signal, mut signals) = mpsc::unbounded_channel();
        let drain = Drain::new();
        let mut heeding = pin!(heed(
            move |cx: &mut Context<'_>| signals.poll_recv(cx).map(drop),
            ShutdownHandle(drain.clone()),
        ));
        let mut cx = Context::from_waker(std::task::Waker::noop());

        assert!(heeding.as_mut().poll(&mut cx).is_pending());
        assert_eq!(drain.phase(), Phase::Serving);
        signal.send(()).expect("it listens");
        assert!(heeding.as_mut().poll(&mut cx).is_pending());
        assert_eq!(drain.phase(), Phase::Draining);
        signal.send(()).expect("it listens");
        assert!(heeding.as_mut().poll(&mut cx).is_ready());
        assert_eq!(drain.phase(), Phase::Cut);
    }

    #[test]
    fn the_second_does_not_wait_for_the_delay() {
        let (signal, mut signals) = mpsc::unbounded_channel();
        let drain = Drain::new();
        drain.set_delay(std::time::Duration::from_secs(5));
        let mut heeding = pin!(heed(
            move |cx: &mut Context<'_>| signals.poll_recv(cx).map(drop),
            ShutdownHandle(drain.clone()),
        ));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        signal.send(()).expect("it listens");
        assert!(heeding.as_mut().poll(&mut cx).is_pending());
        assert_eq!(drain.phase(), Phase::Leaving);
        signal.send(()).expect("it listens");
        assert!(heeding.as_mut().poll(&mut cx).is_ready());
        assert_eq!(drain.phase(), Phase::Cut);
    }
}
