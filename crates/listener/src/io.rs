//! The transport, watched: what comes and goes, and whether the peer reads. And what is left of it when hyper is done.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::Instant,
};

use crate::{
    activity::{Activity, User},
    http::{Budgets, FrameLimit, Frames, calm},
};

/// What an HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many bytes are copied, so as to be written from one place: the kernel takes a fifth of a microsecond longer to collect the head and
/// the body of a small response itself. Also where there is but one of them to collect.
const GATHERED: usize = 1024;

/// Notes what happens in [`Activity`], and gives the transport back when it is dropped.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    /// `None` once it is given back.
    inner: Option<I>,
    give_back: Option<oneshot::Sender<Returned<I>>>,
    first: First,
    /// What is read of an HTTP/2 connection.
    http2: Option<Box<Http2>>,
    /// The last write took all that it was given: a frame of our own may follow.
    is_whole: bool,
    activity: Arc<Activity>,
}

/// The first bytes, read to tell which protocol is spoken, and still to be read by it.
#[derive(Debug, Default)]
struct First {
    bytes: [u8; PREFACE.len()],
    start: u8,
    end: u8,
}

#[derive(Debug)]
struct Http2 {
    frames: Frames,
    budgets: Option<Budgets>,
}

/// A transport that hyper, or who it was upgraded for, is done with.
#[derive(Debug)]
pub(crate) struct Returned<I> {
    pub(crate) io: I,
    /// The last stream of HTTP/2, if a frame can be written after what was.
    last_stream: Option<u32>,
}

impl<I: Unpin> Watched<I> {
    pub(crate) fn new(inner: I, activity: Arc<Activity>) -> (Self, oneshot::Receiver<Returned<I>>) {
        let (give_back, given_back) = oneshot::channel();
        let watched = Self {
            inner: Some(inner),
            give_back: Some(give_back),
            first: First::default(),
            http2: None,
            is_whole: true,
            activity,
        };
        (watched, given_back)
    }

    /// Counts frames from here on. `limit`: how many that bring no request any further.
    pub(crate) fn expect_http2(&mut self, limit: Option<FrameLimit>) {
        self.activity.set_http2();
        // The preface is read once more, from `first`, and passes by here then.
        self.http2 = Some(Box::new(Http2 {
            frames: Frames::new(PREFACE.len()),
            budgets: limit.map(|limit| Budgets::new(limit, Instant::now())),
        }));
    }

    fn inner(&mut self) -> Pin<&mut I> {
        Pin::new(self.inner.as_mut().expect("it is given back on drop"))
    }

    fn note(
        &mut self,
        written: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = written {
            self.activity.add_written(written);
            self.is_whole = written == offered;
        }
        self.activity.set_writing(written.is_pending());
        written
    }

    /// Looks at the frames in `bytes`.
    fn inspect(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(http2) = &mut self.http2 else {
            return Ok(());
        };
        let (finished, written) = (self.activity.finished(), self.activity.written());
        let mut is_calm = true;
        let Http2 { frames, budgets } = &mut **http2;
        frames.read(bytes, |cost| {
            if let Some(budgets) = budgets {
                is_calm &= budgets.take(cost, finished, written);
            }
        });
        self.activity
            .set_frames(frames.counts(), frames.is_in_head());
        if is_calm {
            return Ok(());
        }
        // hyper has no way to be told; an error makes it let go of the transport at once.
        self.activity.set_flooded();
        Err(io::Error::other("too many frames without a request"))
    }

    /// A tunnel is no longer anybody's here: it is told of the cut by an error.
    fn cut_off(&self, user: User, cx: &Context<'_>) -> io::Result<()> {
        if self.activity.is_tunnel() && self.activity.poll_tunnel_cut(user, cx) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the listener has shut down",
            ));
        }
        Ok(())
    }
}

impl<I: AsyncRead + Unpin> Watched<I> {
    /// Reads until it is known whether HTTP/2 is spoken: `true`. The bytes are read again by whoever speaks it.
    pub(crate) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Self {
            inner,
            first,
            activity,
            ..
        } = self;
        let inner = inner.as_mut().expect("it is given back on drop");
        while usize::from(first.end) < PREFACE.len() {
            let end = usize::from(first.end);
            let mut buf = ReadBuf::new(&mut first.bytes[end..]);
            ready!(Pin::new(&mut *inner).poll_read(cx, &mut buf))?;
            let read = buf.filled().len();
            activity.add_read(read);
            first.end += u8::try_from(read).expect("at most the preface");
            let end = end + read;
            if read == 0 || first.bytes[..end] != PREFACE[..end] {
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl First {
    /// Moves as much as fits.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let bytes = &self.bytes[self.start.into()..self.end.into()];
        let taken = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..taken]);
        self.start += u8::try_from(taken).expect("at most the preface");
        taken > 0
    }
}

impl<I> Drop for Watched<I> {
    fn drop(&mut self) {
        if let (Some(io), Some(give_back)) = (self.inner.take(), self.give_back.take()) {
            let http2 = self.http2.as_ref().filter(|_| self.is_whole);
            let last_stream = http2.map(|http2| http2.frames.last_stream());
            // Nobody waits for it after a cut.
            drop(give_back.send(Returned { io, last_stream }));
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Returned<I> {
    /// Says that it was too much, if that can still be said, and closes.
    pub(crate) async fn calm_down(self) -> io::Result<()> {
        let mut io = self.io;
        if let Some(last_stream) = self.last_stream {
            let frame = calm(last_stream);
            let mut left = &frame[..];
            while !left.is_empty() {
                match poll_fn(|cx| Pin::new(&mut io).poll_write(cx, left)).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => left = &left[written..],
                }
            }
        }
        linger(io).await
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
        self.cut_off(User::Reader, cx)?;
        let before = buf.filled().len();
        let is_first = self.first.start < self.first.end;
        if !is_first || !self.first.take(buf) {
            ready!(self.inner().poll_read(cx, buf))?;
            self.activity.add_read(buf.filled().len() - before);
        }
        Poll::Ready(self.inspect(&buf.filled()[before..]))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut_off(User::Writer, cx)?;
        let written = self.inner().poll_write(cx, buf);
        self.note(written, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut_off(User::Writer, cx)?;
        let flushed = self.inner().poll_flush(cx);
        self.activity.set_writing(flushed.is_pending());
        flushed
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
        self.cut_off(User::Writer, cx)?;
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        let written = if let [whole] = bufs {
            self.inner().poll_write(cx, whole)
        } else if offered <= GATHERED {
            let mut gathered = [const { MaybeUninit::uninit() }; GATHERED];
            let mut gathered = ReadBuf::uninit(&mut gathered);
            bufs.iter().for_each(|buf| gathered.put_slice(buf));
            self.inner().poll_write(cx, gathered.filled())
        } else {
            self.inner().poll_write_vectored(cx, bufs)
        };
        self.note(written, offered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it is given, and in how many pieces.
    #[derive(Default)]
    struct Pieces(Vec<usize>, Vec<u8>);

    impl AsyncWrite for Pieces {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(1);
            self.1.extend(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bufs.len());
            bufs.iter().for_each(|buf| self.1.extend(&buf[..]));
            Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
        }
    }

    #[tokio::test]
    async fn what_is_small_is_written_in_one_piece() {
        let activity = Arc::new(Activity::default());
        let (mut io, _given_back) = Watched::new(Pieces::default(), Arc::clone(&activity));
        let (head, body) = (vec![b'h'; 24], vec![b'b'; GATHERED - 24]);
        let large = [b'b'; GATHERED + 1];
        for (parts, pieces) in [
            (&[&head[..], &body[1..]][..], 1),
            (&[&head, &body], 1),
            (&[&head, &body, b"b"], 3),
            (&[&large], 1),
        ] {
            let bufs: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let all = parts.concat();
            let before = activity.written();
            let written = poll_fn(|cx| Pin::new(&mut io).poll_write_vectored(cx, &bufs));
            assert_eq!(written.await.expect("written"), all.len());
            assert_eq!(activity.written() - before, all.len() as u64);
            let inner = io.inner.as_mut().expect("there");
            assert_eq!(inner.0.pop(), Some(pieces), "{} bytes", all.len());
            assert_eq!(std::mem::take(&mut inner.1), all);
        }
    }
}
