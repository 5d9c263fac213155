//! A new version of a program takes over from the old one, and no request is refused or lost.
//!
//! The old process starts the new one and gives it the socket, as its standard input. The new one says on its standard output that it
//! serves. Then the old one drains, and ends. Both accept from one backlog in between, so there is no moment without a listener.
//!
//! Run it, and ask for it again and again; each time it is sent SIGHUP, another process answers:
//!
//! ```text
//! cargo run --example restart
//! kill -HUP <the process it names>
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program, not a library"
)]

#[cfg(not(unix))]
fn main() {
    eprintln!("this program passes sockets on as Unix does it");
}

// ANCHOR: main
#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), bartizan::core::BoxError> {
    use axum::{Router, routing::get};
    use bartizan::listener::{Bind, ListenAddr};
    use tokio::signal::unix::{SignalKind, signal};

    // Who was started by a predecessor has its socket.
    let is_successor = std::env::args().any(|arg| arg == "--successor");
    let listen = if is_successor {
        ListenAddr::Stdin
    } else {
        "127.0.0.1:0".into()
    };
    let listener = Bind::new().to(listen).listen().await?;
    let process = std::process::id();
    let addr = listener.local_addr();
    let sockets = listener.try_clone_fds()?;
    let handle = listener.handle();

    // Before anybody is told where to send it.
    let mut hangups = signal(SignalKind::hangup())?;
    let app = Router::new().route(
        "/",
        get(move || async move { format!("process {process}") }),
    );
    let serving = tokio::spawn(listener.shutdown_on_signals().serve(app));
    // Connections wait in the backlog from the moment of binding, so this may be said before the first is accepted.
    println!("process {process} serves http://{addr}/");

    let restart = async {
        while hangups.recv().await.is_some() {
            match start_successor(&sockets) {
                Ok(says) => {
                    eprintln!("{says}");
                    handle.shutdown();
                    return;
                }
                // The old version goes on: better than none.
                Err(error) => eprintln!("no successor: {error}"),
            }
        }
    };
    let drained = tokio::select! {
        drained = serving => drained?,
        () = restart => handle.wait().await,
    };
    // Not on the standard output: that of a successor is a pipe that nobody reads any longer.
    eprintln!(
        "process {process} drained: {} requests finished, {} were cut",
        drained.drained, drained.cut
    );
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: successor
/// Starts this program anew, from the file as it is now, and waits until it says that it serves.
#[cfg(unix)]
fn start_successor(sockets: &[std::os::fd::OwnedFd]) -> std::io::Result<String> {
    use std::{
        io::{BufRead, BufReader, Error},
        process::{Command, Stdio},
    };

    let socket = sockets.first().ok_or(Error::other("no socket"))?;
    let mut successor = Command::new(std::env::current_exe()?)
        .arg("--successor")
        .stdin(Stdio::from(socket.try_clone()?))
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = successor.stdout.take().ok_or(Error::other("no pipe"))?;
    let mut says = String::new();
    // It holds up this thread for the milliseconds that a start takes; others serve meanwhile.
    BufReader::new(stdout).read_line(&mut says)?;
    if says.is_empty() {
        // It ended without a word: reported on its standard error, which is ours.
        let status = successor.wait()?;
        return Err(Error::other(format!("it ended with {status}")));
    }
    Ok(says.trim_end().to_owned())
}
// ANCHOR_END: successor
