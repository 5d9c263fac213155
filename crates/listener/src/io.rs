//! The transport, watched: whether the peer has spoken, and whether it reads. And what is left of it when hyper is done.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use crate::activity::Activity;

/// The length of HTTP/2's connection preface (RFC 9113 section 3.4): after so many bytes it is known which protocol is spoken.
const PREFACE: usize = 24;

/// Notes what happens in [`Activity`], and gives the transport back when it is dropped.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    /// `None` once it is given back.
    inner: Option<I>,
    give_back: Option<oneshot::Sender<I>>,
    /// Bytes read, until they are as many as the preface.
    read: usize,
    activity: Arc<Activity>,
}

impl<I: Unpin> Watched<I> {
    pub(crate) fn new(inner: I, activity: Arc<Activity>) -> (Self, oneshot::Receiver<I>) {
        let (give_back, given_back) = oneshot::channel();
        let watched = Self {
            inner: Some(inner),
            give_back: Some(give_back),
            read: 0,
            activity,
        };
        (watched, given_back)
    }

    fn inner(&mut self) -> Pin<&mut I> {
        Pin::new(self.inner.as_mut().expect("it is given back on drop"))
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.set_writing(written.is_pending());
        written
    }
}

impl<I> Drop for Watched<I> {
    fn drop(&mut self) {
        if let (Some(inner), Some(give_back)) = (self.inner.take(), self.give_back.take()) {
            // Nobody waits for it after an upgrade, or a cut.
            drop(give_back.send(inner));
        }
    }
}

/// Closes in stages (RFC 9112 section 9.6): says that nothing more will come, and reads until the peer says so, too.
///
/// A socket that is closed with bytes unread is reset, and what the peer has not yet received of its response is lost. There often
/// are such bytes: an HTTP/2 peer acknowledges what it reads, and a request's body may have been refused.
pub(crate) async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await?;
    let mut discarded = [0; 512];
    loop {
        let mut buf = ReadBuf::new(&mut discarded);
        poll_fn(|cx| Pin::new(&mut io).poll_read(cx, &mut buf)).await?;
        if buf.filled().is_empty() {
            return Ok(());
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.inner().poll_read(cx, buf))?;
        if self.read < PREFACE {
            self.read += buf.filled().len() - before;
            if self.read >= PREFACE {
                self.activity.set_heard();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.inner().poll_write(cx, buf);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.inner().poll_flush(cx);
        self.note(flushed)
    }

    // The peer has nothing to read of this, and so no claim to be waited for.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(I::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.inner().poll_write_vectored(cx, bufs);
        self.note(written)
    }
}
