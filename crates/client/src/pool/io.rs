//! A connection's socket, as hyper sees it: with a limit on writes that stall, and a record of what the peer has said.

use std::{
    fmt,
    future::Future,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{connection::Control, frames::FrameWatch};

/// How many bytes are copied, so as to be written from one place: the kernel takes a fifth of a microsecond longer to collect the head and
/// the body of a small request itself. Also where there is but one of them to collect.
const GATHERED: usize = 1024;

/// Bytes both ways. Boxed, so that hyper's machinery is compiled once, in this crate, and not for every connector.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The place of its connection under the pool's caps is free when this is dropped, also after an upgrade.
pub(super) struct PoolIo {
    stream: Box<dyn Stream>,
    control: Arc<Control>,
    frames: Option<FrameWatch>,
    /// Runs while a write makes no progress. Most never do.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl PoolIo {
    pub(super) fn new(stream: Box<dyn Stream>, control: Arc<Control>, is_http2: bool) -> Self {
        Self {
            stream,
            control,
            frames: is_http2.then(FrameWatch::new),
            stalled: None,
        }
    }

    /// What a write came to, unless it has come to nothing for too long.
    #[inline]
    fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.is_some() {
                self.stalled = None;
            }
            return written;
        }
        if self.stalled.is_none() {
            let timeout = self.control.write_timeout();
            self.stalled = timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout)));
        }
        let Some(stalled) = &mut self.stalled else {
            return Poll::Pending;
        };
        stalled.as_mut().poll(cx).map(|()| {
            self.control.has_stalled.store(true, Ordering::Relaxed);
            let message = "a write made no progress in time";
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
    }
}

impl Drop for PoolIo {
    fn drop(&mut self) {
        self.control.socket_gone();
    }
}

impl AsyncRead for PoolIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.control.has_read.store(true, Ordering::Relaxed);
            if let Some(frames) = &mut this.frames {
                let new = &buf.filled()[before..];
                frames.feed(new, |told| this.control.told(told));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PoolIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = if let [whole] = bufs {
            stream.poll_write(cx, whole)
        } else if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= GATHERED {
            let mut gathered = [const { MaybeUninit::uninit() }; GATHERED];
            let mut gathered = ReadBuf::uninit(&mut gathered);
            bufs.iter().for_each(|buf| gathered.put_slice(buf));
            stream.poll_write(cx, gathered.filled())
        } else {
            stream.poll_write_vectored(cx, bufs)
        };
        self.within(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.within(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.within(cx, shut)
    }
}

impl fmt::Debug for PoolIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolIo")
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}
