//! Requests over loopback, by raw hyper connections, by hyper-util's client, by reqwest, and by ours: the transport, and the full client.
//!
//! - `cargo bench --bench client` compares times: by the clock, and what the client's thread ran. The contenders take turns within every
//!   round, so that a machine whose speed drifts is as unfair to one as to the others, and what counts are the medians of the ratios
//!   within a round.
//! - `cargo bench --bench client instructions` runs each contender under callgrind, against a server in a process of its own, with so
//!   many requests and with twice as many: the difference is what the requests cost. Neither load nor luck changes that.
//! - `cargo bench --bench client origins` tells how much memory 10,000 origins take with one idle connection each.

#![allow(clippy::print_stdout, reason = "its tables are its result")]
#![allow(clippy::future_not_send, reason = "all of it runs on one thread")]

mod contenders;
mod instructions;
mod load;
mod origins;
mod serve;
mod times;

use std::io;

use bartizan_client::Protocol;
use tokio::runtime::Runtime;

use crate::contenders::BoxError;

fn main() -> Result<(), BoxError> {
    // cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => times::table(),
        ["instructions"] => instructions::table(),
        ["origins"] => origins::table(10_000),
        ["origins", count] => origins::table(count.parse()?),
        // What the modes above start as processes of their own.
        ["serve"] => {
            println!("{}", serve::start()?);
            // Until the other end of the pipe is gone.
            io::stdin().read_line(&mut String::new())?;
            Ok(())
        }
        ["count", who, protocol, load, in_flight, requests] => instructions::count(
            who,
            named(protocol)?,
            load.parse()?,
            in_flight.parse()?,
            requests.parse()?,
        ),
        ["origins-of", who, count] => origins::of(who, count.parse()?),
        _ => Err("without arguments, `instructions` or `origins`".into()),
    }
}

const PROTOCOLS: [(&str, Protocol); 2] =
    [("HTTP/1.1", Protocol::Http1), ("HTTP/2", Protocol::Http2)];

fn named(protocol: &str) -> Result<Protocol, BoxError> {
    let found = PROTOCOLS.into_iter().find(|(name, _)| *name == protocol);
    Ok(found.ok_or("no such protocol")?.1)
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
