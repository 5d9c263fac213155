//! A connection after its handshake.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::TlsInfo;

/// A TLS connection, of either end.
pub struct TlsStream<IO> {
    /// Boxed: rustls's state is over a kilobyte, and is moved from future to future on the way up.
    inner: Box<tokio_rustls::TlsStream<IO>>,
    info: TlsInfo,
}

impl<IO> TlsStream<IO> {
    pub(crate) fn new(inner: impl Into<tokio_rustls::TlsStream<IO>>, info: TlsInfo) -> Self {
        Self {
            inner: Box::new(inner.into()),
            info,
        }
    }

    /// What the handshake came to.
    pub fn tls_info(&self) -> &TlsInfo {
        &self.info
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        self.inner.get_ref().0
    }

    /// The stream of tokio-rustls, for what is not offered here, such as exported keying material. Unstable: it goes with
    /// tokio-rustls's versions, not with ours.
    pub fn unstable_into_tokio_rustls(self) -> tokio_rustls::TlsStream<IO> {
        *self.inner
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// A connection that has TLS on it if its target asked for it.
#[derive(Debug)]
pub struct MaybeTls<IO>(Either<IO>);

#[derive(Debug)]
enum Either<IO> {
    Plain(IO),
    Tls(TlsStream<IO>),
}

impl<IO> MaybeTls<IO> {
    /// A connection without TLS, for connectors that make it for some of theirs.
    pub const fn plain(io: IO) -> Self {
        Self(Either::Plain(io))
    }

    pub(crate) const fn tls(stream: TlsStream<IO>) -> Self {
        Self(Either::Tls(stream))
    }

    /// What the handshake came to, if there was one.
    pub fn tls_info(&self) -> Option<&TlsInfo> {
        match &self.0 {
            Either::Plain(_) => None,
            Either::Tls(stream) => Some(stream.tls_info()),
        }
    }

    /// The application protocol that was agreed on, such as `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls_info()?.alpn()
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        match &self.0 {
            Either::Plain(io) => io,
            Either::Tls(stream) => stream.get_ref(),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Either::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Either::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTls<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Either::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Either::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Either::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Either::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Either::Plain(io) => io.is_write_vectored(),
            Either::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Either::Plain(io) => Pin::new(io).poll_flush(cx),
            Either::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Either::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Either::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
