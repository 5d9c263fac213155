//! A transport that holds something for as long as it lives.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pin_project! {
    /// A transport, and a guard that is dropped with it.
    ///
    /// The guard goes where the transport goes: through a handshake, through an upgrade to WebSocket, into a task that outlives its
    /// server. So a connection counts until it is closed, and not only while HTTP is spoken on it.
    #[derive(Debug)]
    pub struct Guarded<IO, G> {
        // The transport first: it is closed by the time its place is free.
        #[pin]
        io: IO,
        guard: G,
    }
}

impl<IO, G> Guarded<IO, G> {
    /// Keeps `guard` with `io`.
    pub const fn new(io: IO, guard: G) -> Self {
        Self { io, guard }
    }

    /// The transport.
    pub const fn get_ref(&self) -> &IO {
        &self.io
    }

    /// The guard.
    pub const fn guard(&self) -> &G {
        &self.guard
    }
}

impl<IO: AsyncRead, G> AsyncRead for Guarded<IO, G> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite, G> AsyncWrite for Guarded<IO, G> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, bufs)
    }
}
