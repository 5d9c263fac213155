//! Reading and writing through a shared reference, so that two futures can use one socket.

use std::io::{self, ErrorKind};

use tokio::net::TcpStream;

/// What arrived, at most as much as the buffer holds; 0 at the end. Dropping it loses nothing.
pub(crate) async fn read(from: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Writes all of it. Dropping it may leave some unwritten.
pub(crate) async fn write(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
