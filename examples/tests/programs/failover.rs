//! Failover: from one target to the next, what it says of its arguments, and its end.

use std::net::TcpListener;
#[cfg(unix)]
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
};

use crate::{assert_contains, printed, refused};
#[cfg(unix)]
use crate::{
    program,
    running::{Running, send_signal},
};

#[test]
fn failover_demo() {
    let text = printed("failover", &["--demo", "--port", "0"]);
    assert_contains(
        &text,
        &[
            "first call: GET",
            "target 0 (http://nowhere.invalid): ",
            "does not resolve",
            "target 1 (http://127.0.0.1:",
            "the limit is 5s, after 5.",
            "target 2 (http://127.0.0.1:",
            "answered, after ",
            "first call: `Mock Resource is Invoked.` after 5.",
            "second call: GET",
            "  http://127.0.0.1:",
            ": answered first",
            "second call: `Mock Resource is Invoked.` after ",
        ],
    );
    // The second call knows the way: milliseconds, or less.
    let second = text.lines().last().expect("a line");
    assert!(second.ends_with("ms") || second.ends_with("µs"), "{second}");
}

#[test]
fn failover_says_what_is_wrong_with_its_arguments() {
    for (args, message) in [
        (
            &["--port", "99999"][..],
            "error: invalid --port `99999`: expected a port from 0 to 65535",
        ),
        (
            &["--port=x"],
            "error: invalid --port `x`: expected a port from 0 to 65535",
        ),
        (
            &["--port"],
            "error: invalid --port ``: expected a port from 0 to 65535",
        ),
        (
            &["--prot", "1"],
            "error: invalid argument `--prot`: expected --port or --demo",
        ),
    ] {
        let (text, code) = refused("failover", args);
        assert_contains(&text, &[message, "usage: failover"]);
        assert_eq!(code, Some(2));
    }
}

#[test]
fn failover_says_that_its_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let (text, code) = refused("failover", &["--port", &port]);
    let addr = format!("127.0.0.1:{port}");
    assert_contains(&text, &["error: ", &addr, "in use", "`--port 0`"]);
    assert_eq!(code, Some(1));
}

#[cfg(unix)]
#[test]
fn failover_finishes_what_it_began_when_it_is_interrupted() {
    let mut child = Running(
        program("failover")
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut line_with = |part: &str| {
        lines
            .by_ref()
            .map(|line| line.expect("UTF-8"))
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("it ended without `{part}`"))
    };
    let url = line_with("try: curl");
    let (_, addr) = url.split_once("http://").expect("a URL");
    let (addr, _) = addr.split_once('/').expect("a path");

    let mut call = TcpStream::connect(addr).expect("it listens");
    write!(call, "GET /fo HTTP/1.1\r\nhost: {addr}\r\n\r\n").expect("it reads");
    // From here on the call is under way, and stays so for five seconds.
    line_with("GET /fo");
    send_signal("-INT", &child.0.id().to_string());

    let mut response = String::new();
    call.read_to_string(&mut response)
        .expect("a response, and the end");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.ends_with("Mock Resource is Invoked."),
        "{response}"
    );
    assert_eq!(
        line_with("drained"),
        "drained: 1 requests finished, 0 were cut"
    );
    assert!(child.0.wait().expect("it ends").success());
}
