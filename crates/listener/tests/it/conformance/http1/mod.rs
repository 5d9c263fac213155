//! HTTP/1.1 (RFC 9112), byte by byte: requests that two parsers may understand in two ways among them.
//!
//! Each case is followed by one more request. Nobody behind the listener is to see one that is not there, and none is to be lost.

mod chunks;
mod fields;
mod framing;
mod persistence;
mod request_line;

use std::{net::SocketAddr, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Found, Verdict, judge};
use crate::{readme, support::raw};

/// What follows each case.
const NEXT: &str = "GET /next HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n";
const AND_NEXT: &str = " (GET /next b 0)";

/// Refused, and closed: where the next request begins is not known.
const BAD: &str = "400";
/// Refused. The next request is another.
const REFUSED: &str = "400 (GET /next b 0)";
/// Closed without a word.
const CLOSED: &str = "closed";

struct Case {
    section: &'static str,
    name: &'static str,
    sent: Vec<u8>,
    /// What the service said and with which statuses it was not asked, in order.
    allowed: Vec<String>,
}

fn case<const N: usize>(
    section: &'static str,
    name: &'static str,
    sent: impl AsRef<[u8]>,
    allowed: [&str; N],
) -> Case {
    Case {
        section,
        name,
        sent: [sent.as_ref(), NEXT.as_bytes()].concat(),
        allowed: allowed.map(str::to_owned).into(),
    }
}

/// The service was asked this, and what follows is the next request.
fn then_next(said: &str) -> String {
    format!("{said}{AND_NEXT}")
}

impl super::Case for Case {
    type Reaction = String;

    fn title(&self) -> String {
        format!("{}: {}", self.section, self.name)
    }

    async fn try_on(&self, addr: SocketAddr) -> String {
        let mut io = raw(addr, &self.sent).await;
        let mut answer = Vec::new();
        loop {
            let read = tokio::time::timeout(Duration::from_secs(1), io.read_buf(&mut answer));
            match read.await {
                // A reset is a close, too.
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => {}
                // It waits for more, which never comes. A client that has gone may find it gone already.
                Err(_) => drop(io.shutdown().await),
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        let responses = answer.split("HTTP/1.").skip(1).map(|response| {
            let said = response
                .split_once("\r\n\r\n(")
                .and_then(|(_, body)| body.split_once(')'));
            match said {
                Some((said, _)) => format!("({said})"),
                None => response.get(2..5).unwrap_or("half a response").to_owned(),
            }
        });
        let responses: Vec<String> = responses.collect();
        if responses.is_empty() {
            return CLOSED.to_owned();
        }
        responses.join(" ")
    }

    fn verdict(&self, reaction: &String) -> Verdict {
        if self.allowed.contains(reaction) {
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }
}

const WRONG: &[&str] = &[];

#[tokio::test]
async fn each_case_is_reacted_to_as_allowed() {
    let found = Found::of([
        request_line::cases(),
        fields::cases(),
        framing::cases(),
        chunks::cases(),
        persistence::cases(),
    ])
    .await;
    judge(&found, WRONG, &[]);
    readme::table("http1", &["Form", "The listener", "Bare hyper"], || {
        found.iter().map(Found::row).collect()
    });
}
