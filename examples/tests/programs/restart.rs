//! A restart without a gap.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use crate::{
    program,
    running::{Running, send_signal},
};

#[test]
fn restart_hands_over_without_a_refused_connection() {
    let mut child = Running(
        program("restart")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("UTF-8");
    let (_, addr) = line.split_once("http://").expect("a URL");
    let addr = addr.trim_end().trim_end_matches('/');
    let old = format!("process {}", child.0.id());
    assert_eq!(ask(addr).as_deref(), Some(&*old));

    send_signal("-HUP", &child.0.id().to_string());
    // Somebody listens all the time.
    let new = std::iter::repeat_with(|| ask(addr).expect("it is never refused"))
        .find(|answer| *answer != old)
        .expect("endless");
    let successor = Successor(new.trim_start_matches("process ").to_owned());
    assert!(child.0.wait().expect("it ends").success());
    assert_eq!(ask(addr), Some(new));

    send_signal("-TERM", &successor.0);
    while ask_or_reset(addr) {}
}

/// Asks for `/` on a connection of its own. `None` if nobody listens.
fn ask(addr: &str) -> Option<String> {
    let mut io = TcpStream::connect(addr).ok()?;
    write!(
        io,
        "GET / HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut response = String::new();
    io.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let (_, body) = response.split_once("\r\n\r\n").expect("a head");
    Some(body.to_owned())
}

/// Whether anybody listens. Who connects in the moment of closing may be reset.
fn ask_or_reset(addr: &str) -> bool {
    let Ok(mut io) = TcpStream::connect(addr) else {
        return false;
    };
    let _ = write!(
        io,
        "GET / HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"
    );
    let _ = io.read_to_string(&mut String::new());
    true
}

/// A successor is no child of this test: it is ended by its number.
struct Successor(String);

impl Drop for Successor {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = Command::new("kill").args(["-KILL", &self.0]).output();
    }
}
