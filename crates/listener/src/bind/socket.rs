//! A socket that listens, and what it accepts.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use socket2::{SockRef, TcpKeepalive};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use super::AcceptedOptions;
use crate::{Accept, AcceptError, Accepted, Address, ConnectInfo};

/// A socket that listens, of whichever kind. Dropped, it is closed.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    local_addr: Address,
    options: AcceptedOptions,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Socket {
    pub(crate) fn tcp(socket: TcpListener, options: AcceptedOptions) -> io::Result<Self> {
        Ok(Self {
            // Not by `Address::from`: it is bound to a mapped address if that is what it was told.
            local_addr: Address::Tcp(socket.local_addr()?),
            kind: Kind::Tcp(socket),
            options,
        })
    }

    #[cfg(unix)]
    pub(crate) fn unix(socket: UnixListener) -> io::Result<Self> {
        Ok(Self {
            local_addr: socket.local_addr()?.into(),
            kind: Kind::Unix(socket),
            options: AcceptedOptions::DEFAULT,
        })
    }

    /// The address it is bound to, with the port that was chosen.
    pub const fn local_addr(&self) -> &Address {
        &self.local_addr
    }

    pub(crate) const fn options_mut(&mut self) -> &mut AcceptedOptions {
        &mut self.options
    }

    #[cfg(unix)]
    pub(crate) fn try_clone_fd(&self) -> io::Result<std::os::fd::OwnedFd> {
        use std::os::fd::AsFd;

        match &self.kind {
            Kind::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Kind::Unix(socket) => socket.as_fd().try_clone_to_owned(),
        }
    }
}

impl AcceptedOptions {
    fn set(self, io: &TcpStream) -> io::Result<()> {
        io.set_nodelay(self.nodelay)?;
        if let Some(after) = self.keep_alive {
            let keep_alive = TcpKeepalive::new().with_time(after);
            // Elsewhere the system decides.
            #[cfg(any(
                target_vendor = "apple",
                target_os = "android",
                target_os = "freebsd",
                target_os = "linux",
                windows
            ))]
            let keep_alive = keep_alive.with_interval(after);
            SockRef::from(io).set_tcp_keepalive(&keep_alive)?;
        }
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Some(bytes) = self.notsent_lowat {
            // It makes things better where it is to be had, and some kinds of sockets and sandboxes do not have it.
            if let Err(error) = SockRef::from(io).set_tcp_notsent_lowat(bytes.get()) {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no TCP_NOTSENT_LOWAT"
                );
            }
        }
        Ok(())
    }
}

impl Accept for Socket {
    type Io = Stream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted<Stream>, AcceptError>> {
        // What fails on a connection after it was accepted, fails because it is broken already.
        let broken = |error| io::Error::new(io::ErrorKind::ConnectionAborted, error);
        match &self.kind {
            Kind::Tcp(socket) => socket.poll_accept(cx).map(|accepted| {
                let (io, peer) = accepted?;
                self.options.set(&io).map_err(broken)?;
                let local = io.local_addr().map_err(broken)?;
                let info = ConnectInfo::new(local.into(), peer.into());
                Ok(Accepted::new(Stream::Tcp(io), info))
            }),
            #[cfg(unix)]
            Kind::Unix(socket) => socket.poll_accept(cx).map(|accepted| {
                let (io, peer) = accepted?;
                let info = ConnectInfo::new(self.local_addr.clone(), peer.into());
                Ok(Accepted::new(Stream::Unix(io), info))
            }),
        }
    }
}

/// A connection of a [`Socket`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Asks whichever it is.
macro_rules! delegate {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($io) => $call,
            #[cfg(unix)]
            Stream::Unix($io) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(&mut *self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(&mut *self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(&mut *self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(&mut *self, io => Pin::new(io).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(self, io => io.is_write_vectored())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(&mut *self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }
}
