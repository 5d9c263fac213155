//! TCP sockets.

use std::{fmt, io, net::SocketAddr};

use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};

use super::{Options, Socket};
use crate::BindError;

/// The first address that can be bound of those that `name` resolves to.
pub(crate) async fn bind_first(
    name: impl ToSocketAddrs + fmt::Debug + Send + Sync,
    options: &Options,
) -> Result<Vec<Socket>, BindError> {
    let candidates = lookup_host(&name).await;
    let mut last = None;
    for candidate in candidates.map_err(|error| BindError::resolve(&name, error))? {
        match bind(candidate, options) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| BindError::resolve(&name, io::ErrorKind::NotFound.into())))
}

/// One socket for each accept loop.
pub(super) fn bind(addr: SocketAddr, options: &Options) -> Result<Vec<Socket>, BindError> {
    let loops = if cfg!(unix) { options.accept_loops } else { 1 };
    let mut sockets = Vec::with_capacity(loops);
    // The first learns which port it is, if the system chooses.
    let mut wanted = addr;
    for _ in 0..loops {
        let failed = |error| BindError::bind(addr, error);
        let socket = one(wanted, loops > 1 || options.reuse_port, options).map_err(failed)?;
        wanted = socket.local_addr().map_err(failed)?;
        sockets.push(Socket::tcp(socket, options.accepted).map_err(failed)?);
    }
    Ok(sockets)
}

fn one(addr: SocketAddr, reuse_port: bool, options: &Options) -> io::Result<TcpListener> {
    let socket =
        socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.only_v6)?;
    }
    // On Windows it means that two programs may have one address: that is nobody's wish.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = reuse_port;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(options.backlog.get().try_into().unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}
