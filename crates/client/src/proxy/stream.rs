//! A connection that may lead through a proxy.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::{Connected, Connection};

pin_project! {
    /// A connection that may lead through a proxy. Made by a [`ProxyConnector`](super::ProxyConnector).
    #[derive(Debug)]
    pub struct Proxied<C> {
        #[pin]
        connection: C,
        // What came through a tunnel together with the proxy's answer.
        early: Bytes,
        way: Way,
    }
}

#[derive(Debug)]
enum Way {
    Direct,
    /// The proxy reads the requests.
    Forwarded(Option<HeaderValue>),
    /// The proxy reads nothing.
    Tunnel,
}

impl<C> Proxied<C> {
    pub(crate) const fn direct(connection: C) -> Self {
        Self {
            connection,
            early: Bytes::new(),
            way: Way::Direct,
        }
    }

    pub(crate) const fn forwarded(connection: C, authorization: Option<HeaderValue>) -> Self {
        Self {
            connection,
            early: Bytes::new(),
            way: Way::Forwarded(authorization),
        }
    }

    pub(crate) const fn tunnel(connection: C, early: Bytes) -> Self {
        Self {
            connection,
            early,
            way: Way::Tunnel,
        }
    }
}

impl<C: Connection> Connection for Proxied<C> {
    fn connected(&self) -> Connected {
        let connected = self.connection.connected();
        // A proxy's certificates and protocol are not the origin's.
        let of_proxy =
            || Connected::new().with_addrs(connected.local_addr(), connected.peer_addr());
        match &self.way {
            Way::Direct => connected,
            Way::Tunnel => of_proxy(),
            Way::Forwarded(authorization) => of_proxy()
                .with_proxied(true)
                .with_proxy_authorization(authorization.clone()),
        }
    }
}

impl<C: AsyncRead> AsyncRead for Proxied<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if this.early.is_empty() {
            return this.connection.poll_read(cx, buffer);
        }
        let n = this.early.len().min(buffer.remaining());
        buffer.put_slice(&this.early[..n]);
        this.early.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite> AsyncWrite for Proxied<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().connection.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().connection.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().connection.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().connection.poll_shutdown(cx)
    }
}
