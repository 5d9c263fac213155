//! What a connection costs that is kept alive and has nothing to say: `idle [10000]`.
//!
//! Opens so many connections to each contender, one after the other, sends one request over each and reads the response, and tells by how
//! much the memory of the server has grown for each of them. This process and the server need a descriptor for each connection
//! (`ulimit -n`), so there are as many as there are descriptors if more are asked for.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use bartizan_bench_peers::Server;

const CONNECTIONS: usize = 10_000;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn main() -> io::Result<()> {
    let wanted = std::env::args().nth(1).map(|wanted| wanted.parse());
    let wanted = wanted.transpose().map_err(io::Error::other)?;
    let wanted: usize = wanted.unwrap_or(CONNECTIONS);
    let serve = std::env::var_os("SERVE").map(Into::into);
    let serve = match serve {
        Some(serve) => serve,
        None => std::env::current_exe()?.with_file_name("serve"),
    };
    println!("| contender | idle connections | bytes for each |");
    println!("|---|---|---|");
    for contender in ["hyper", "bartizan", "axum", "actix", "nginx"] {
        let server = match Server::start(&serve, contender) {
            Ok(server) => server,
            Err(error) => {
                println!("Without {contender}: {error}.");
                continue;
            }
        };
        // What the first ones make it allocate is not theirs.
        drop(open(server.h1, wanted / 100 + 1)?);
        settle();
        let before = server.memory()?;
        let connections = open(server.h1, wanted)?;
        settle();
        let after = server.memory()?;
        println!(
            "| {contender} | {} | {} |",
            connections.len(),
            after.saturating_sub(before) / connections.len() as u64
        );
    }
    Ok(())
}

/// What is measured is the kernel's count, which knows nothing of futures: the servers get a moment to go back to sleep.
fn settle() {
    thread::sleep(Duration::from_millis(500));
}

fn open(addr: SocketAddr, wanted: usize) -> io::Result<Vec<TcpStream>> {
    let mut connections = Vec::with_capacity(wanted);
    let mut answer = [0; 1024];
    while connections.len() < wanted {
        let mut connection = match TcpStream::connect(addr) {
            Ok(connection) => connection,
            // EMFILE: that was the last one.
            Err(error) if error.raw_os_error() == Some(24) => break,
            Err(error) => return Err(error),
        };
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(REQUEST)?;
        let mut length = 0;
        while !answer[..length].ends_with(b"hello") {
            match connection.read(&mut answer[length..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => length += read,
                // It is in the backlog of a server that has no descriptors left.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(connections);
                }
                Err(error) => return Err(error),
            }
        }
        connections.push(connection);
    }
    Ok(connections)
}
