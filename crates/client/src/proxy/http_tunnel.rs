//! `CONNECT` (RFC 9110 section 9.3.6).

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connector::Failure;

/// More than any proxy says of itself in a head.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;

/// Asks for a tunnel to `host` and `port`. Returns what the origin has sent through it already.
pub(crate) async fn open<C>(
    connection: &mut C,
    host: &str,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<Bytes, Failure>
where
    C: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut request = Vec::with_capacity(256);
    request.extend_from_slice(
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").as_bytes(),
    );
    if let Some(value) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    connection.write_all(&request).await?;
    connection.flush().await?;

    let mut answer = Answer::new();
    let mut piece = [0; 2048];
    loop {
        let n = connection.read(&mut piece).await?;
        if n == 0 {
            return Err(Failure::refused("closed the connection before it answered"));
        }
        match answer.read(&piece[..n])? {
            None => {}
            Some((status, early)) if status.is_success() => return Ok(early),
            Some((StatusCode::PROXY_AUTHENTICATION_REQUIRED, _)) => {
                return Err(Failure::refused(if authorization.is_some() {
                    "does not accept the credentials (407)"
                } else {
                    "wants credentials (407): set them on the `Proxy`"
                }));
            }
            Some((status, _)) => return Err(Failure::refused(format!("refused with {status}"))),
        }
    }
}

/// What has come of the answer.
#[derive(Debug)]
pub(crate) struct Answer {
    head: Vec<u8>,
    /// Of the heads of interim responses too, so that those have an end.
    length: usize,
}

impl Answer {
    pub(crate) const fn new() -> Self {
        Self {
            head: Vec::new(),
            length: 0,
        }
    }

    /// Takes the next bytes. Returns the status and what follows the head, once the head is whole.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Option<(StatusCode, Bytes)>, Failure> {
        let mut from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        loop {
            let Some(end) = head_end(&self.head, from) else {
                if self.length + self.head.len() > MAX_HEAD {
                    return Err(too_long());
                }
                return Ok(None);
            };
            self.length += end;
            if self.length > MAX_HEAD {
                return Err(too_long());
            }
            let status = status(&self.head[..end])?;
            let rest = self.head.split_off(end);
            // An interim response. 101 would be final, and means nothing here.
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                self.head = rest;
                from = 0;
                continue;
            }
            // A tunnel has no body, whatever the headers of a 2xx say.
            return Ok(Some((status, rest.into())));
        }
    }
}

fn too_long() -> Failure {
    Failure::refused(format!(
        "answered with a head of more than {MAX_HEAD} bytes"
    ))
}

/// Where the head ends: after the first empty line that begins at `from` or later.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(n) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
        at += n + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

fn status(head: &[u8]) -> Result<StatusCode, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(no_http()),
        Err(error) => return Err(no_http().with_source(error)),
    }
    let code = response.code.unwrap_or_default();
    StatusCode::from_u16(code).map_err(|error| no_http().with_source(error))
}

fn no_http() -> Failure {
    Failure::refused("answered with what is no HTTP: check the scheme and the port of the proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn read_all(bytes: &[u8]) -> Result<Option<(u16, Bytes)>, String> {
        let outcome = Answer::new().read(bytes);
        outcome
            .map(|found| found.map(|(status, early)| (status.as_u16(), early)))
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn answers_are_read() {
        for (bytes, status, early) in [
            ("HTTP/1.1 200 OK\r\n\r\n", 200, ""),
            (
                "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n\0\0early",
                200,
                "\0\0early",
            ),
            ("HTTP/1.1 200\n\nearly", 200, "early"),
            ("HTTP/1.1 299 Fine\r\nContent-Length: 99\r\n\r\n", 299, ""),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hm\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
                200,
                "x",
            ),
            (
                "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n",
                407,
                "",
            ),
        ] {
            let expected = Ok(Some((status, Bytes::from(early))));
            assert_eq!(read_all(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (bytes, told) in [
            ("SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "no HTTP"),
            ("HTTP/2 200\r\n\r\n", "no HTTP"),
            ("\r\n\r\n", "no HTTP"),
            (&"x".repeat(16 * 1024 + 1), "more than 16384"),
            (
                &"HTTP/1.1 100 Go on\r\n\r\n".repeat(1000),
                "more than 16384",
            ),
            (
                &format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101)),
                "no HTTP",
            ),
        ] {
            let told_of = read_all(bytes.as_bytes()).expect_err("no answer");
            assert!(told_of.contains(told), "{told_of}");
        }
        assert_eq!(read_all(b"HTTP/1.1 200 OK\r\nVia: x\r\n"), Ok(None));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(cuts in proptest::collection::vec(0..=57_usize, 0..6)) {
            let whole = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\nearly";
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut answer, mut from, mut result) = (Answer::new(), 0, None);
            for to in cuts.into_iter().chain([whole.len()]) {
                let piece = &whole[from.min(to)..to.min(whole.len())];
                from = to;
                match &mut result {
                    None => result = answer.read(piece).expect("good"),
                    // What comes after the head is the tunnel's.
                    Some((_, early)) => *early = [early, piece].concat().into(),
                }
            }
            prop_assert_eq!(result, Some((StatusCode::OK, Bytes::from_static(b"early"))));
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>, cut in 0..100_usize) {
            crate::fuzzing::connect_answer(&bytes, cut);
        }
    }
}
