//! Unix sockets.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use socket2::{Domain, SockAddr, Type};
use tokio::net::UnixListener;

use super::{Options, Socket};
use crate::BindError;

pub(super) fn bind(path: &Path, options: &Options) -> Result<Socket, BindError> {
    let failed = |error| BindError::bind(format_args!("unix:{}", path.display()), error);
    let socket = match listen(path, options) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            tracing::debug!(path = %path.display(), "removing a socket that nobody listens on");
            fs::remove_file(path).map_err(failed)?;
            listen(path, options)
        }
        listened => listened,
    };
    Socket::unix(socket.map_err(failed)?).map_err(failed)
}

fn listen(path: &Path, options: &Options) -> io::Result<UnixListener> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before `listen`.
    if let Some(mode) = options.unix_mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(options.backlog.get().try_into().unwrap_or(i32::MAX))?;
    UnixListener::from_std(socket.into())
}

/// Whether a socket is there, and nobody behind it.
fn is_stale(path: &Path) -> bool {
    // Not through a link: it would be the link that is removed.
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && is_refused(path).unwrap_or(false)
}

fn is_refused(path: &Path) -> io::Result<bool> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog is an answer, too, and not one to wait for.
    socket.set_nonblocking(true)?;
    let refused = socket.connect(&SockAddr::unix(path)?);
    Ok(refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}
