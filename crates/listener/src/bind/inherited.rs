//! Sockets that somebody else has bound.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use listenfd::ListenFd;
use socket2::Domain;
use tokio::net::{TcpListener, UnixListener};

use super::{Options, Socket};
use crate::BindError;

/// All sockets of `LISTEN_FDS`.
pub(super) fn from_env(options: &Options) -> Result<Vec<Socket>, BindError> {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let fd: OwnedFd = match given.take_tcp_listener(index) {
            Ok(Some(socket)) => socket.into(),
            _ => match given.take_unix_listener(index).map_err(BindError::adopt)? {
                Some(socket) => socket.into(),
                None => continue,
            },
        };
        sockets.push(adopt(fd, options).map_err(BindError::adopt)?);
    }
    if sockets.is_empty() {
        return Err(BindError::not_inherited());
    }
    Ok(sockets)
}

pub(super) fn from_stdin(options: &Options) -> Result<Socket, BindError> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    stdin
        .and_then(|fd| adopt(fd, options))
        .map_err(BindError::adopt)
}

/// Whatever kind of listening socket it is.
fn adopt(fd: OwnedFd, options: &Options) -> io::Result<Socket> {
    let socket = socket2::Socket::from(fd);
    // Fails for what is no socket.
    let addr = socket.local_addr()?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if !socket.is_listener()? {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the socket does not listen",
        ));
    }
    socket.set_nonblocking(true)?;
    if addr.domain() == Domain::UNIX {
        Socket::unix(UnixListener::from_std(socket.into())?)
    } else {
        Socket::tcp(TcpListener::from_std(socket.into())?, options.accepted)
    }
}
