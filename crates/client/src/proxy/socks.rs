//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929), without any I/O.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{connector::Failure, server::Credentials};

/// Where the tunnel is to lead.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Address(SocketAddr),
    /// To be resolved by the proxy.
    Name(String, u16),
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Send these bytes, then read exactly so many: never more, as what follows is the origin's.
    Exchange { send: Vec<u8>, need: usize },
    /// The tunnel stands.
    Done,
}

/// One handshake.
pub(crate) struct Handshake {
    target: Target,
    credentials: Option<Credentials>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Start4,
    Reply4,
    Start5,
    Method,
    Authenticated,
    Reply5,
    /// The length of the name that the proxy is bound to.
    NameLength,
    BoundAddress,
}

impl Handshake {
    pub(crate) const fn v4(target: Target, credentials: Option<Credentials>) -> Self {
        Self {
            target,
            credentials,
            state: State::Start4,
        }
    }

    pub(crate) const fn v5(target: Target, credentials: Option<Credentials>) -> Self {
        Self {
            target,
            credentials,
            state: State::Start5,
        }
    }

    pub(crate) fn for_fuzzing(version: u8) -> Self {
        let target = Target::Name("origin.example".into(), 443);
        let credentials = Credentials {
            user: "user".into(),
            password: "password".into(),
        };
        match version % 3 {
            0 => Self::v4(target, None),
            1 => Self::v5(target, None),
            _ => Self::v5(target, Some(credentials)),
        }
    }

    /// Takes the bytes that the last step needed: none at first.
    pub(crate) fn step(&mut self, received: &[u8]) -> Result<Step, Failure> {
        let (next, step) = match (self.state, received) {
            // ## Start4 => Reply4
            (State::Start4, _) => (State::Reply4, exchange(self.request4()?, 8)),
            // ## Reply4 => Done
            // The version of a reply is 0; some send the 4.
            (State::Reply4, &[0 | 4, code, ..]) => {
                return match code {
                    90 => Ok(Step::Done),
                    91 => Err(Failure::refused("refused, or could not connect (91)")),
                    92 | 93 => Err(Failure::refused(format!("wants another user ({code})"))),
                    _ => Err(Failure::refused(format!("refused with {code}"))),
                };
            }
            // ## Start5 => Method
            (State::Start5, _) => {
                let methods = match self.credentials {
                    Some(_) => vec![5, 2, NO_AUTHENTICATION, USER_PASSWORD],
                    None => vec![5, 1, NO_AUTHENTICATION],
                };
                (State::Method, exchange(methods, 2))
            }
            // ## Method => (Authenticated | Reply5)
            (State::Method, &[5, NO_AUTHENTICATION]) => {
                (State::Reply5, exchange(self.request5()?, 4))
            }
            (State::Method, &[5, method]) => match (method, &self.credentials) {
                (USER_PASSWORD, Some(credentials)) => {
                    let send = user_password(credentials)?;
                    (State::Authenticated, exchange(send, 2))
                }
                (NONE_ACCEPTABLE, None) => {
                    return Err(Failure::refused(
                        "wants credentials: set them on the `Proxy`",
                    ));
                }
                (NONE_ACCEPTABLE, Some(_)) => {
                    return Err(Failure::refused("takes no user and password"));
                }
                _ => return Err(no_socks()),
            },
            // ## Authenticated => Reply5
            (State::Authenticated, &[1, 0]) => (State::Reply5, exchange(self.request5()?, 4)),
            (State::Authenticated, &[1, _]) => {
                return Err(Failure::refused("does not accept the credentials"));
            }
            // ## Reply5 => (NameLength | BoundAddress)
            (State::Reply5, &[5, 0, _, kind]) => match kind {
                IPV4 => (State::BoundAddress, exchange(Vec::new(), 4 + 2)),
                IPV6 => (State::BoundAddress, exchange(Vec::new(), 16 + 2)),
                NAME => (State::NameLength, exchange(Vec::new(), 1)),
                _ => return Err(no_socks()),
            },
            (State::Reply5, &[5, code, _, _]) => return Err(refusal(code)),
            // ## NameLength => BoundAddress
            (State::NameLength, &[length]) => {
                let need = usize::from(length) + 2;
                (State::BoundAddress, exchange(Vec::new(), need))
            }
            // ## BoundAddress => Done
            // Where the proxy sends from is nobody's business here.
            (State::BoundAddress, _) => return Ok(Step::Done),
            _ => return Err(no_socks()),
        };
        self.state = next;
        Ok(step)
    }

    fn request4(&self) -> Result<Vec<u8>, Failure> {
        let (ip, port, name) = match &self.target {
            Target::Address(SocketAddr::V4(address)) => (*address.ip(), address.port(), None),
            Target::Address(SocketAddr::V6(_)) => {
                return Err(Failure::refused(
                    "speaks SOCKS4, which has no IPv6: use socks5",
                ));
            }
            // SOCKS4a: an address that is none says that a name follows.
            Target::Name(name, port) => (Ipv4Addr::new(0, 0, 0, 1), *port, Some(name)),
        };
        let user = self.credentials.as_ref().map_or("", |c| &c.user);
        let mut request = vec![4, CONNECT];
        request.extend_from_slice(&port.to_be_bytes());
        request.extend_from_slice(&ip.octets());
        request.extend_from_slice(user.as_bytes());
        request.push(0);
        if let Some(name) = name {
            request.extend_from_slice(name.as_bytes());
            request.push(0);
        }
        Ok(request)
    }

    fn request5(&self) -> Result<Vec<u8>, Failure> {
        let mut request = vec![5, CONNECT, 0];
        let port = match &self.target {
            Target::Address(address) => {
                match address.ip() {
                    IpAddr::V4(ip) => {
                        request.push(IPV4);
                        request.extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        request.push(IPV6);
                        request.extend_from_slice(&ip.octets());
                    }
                }
                address.port()
            }
            Target::Name(name, port) => {
                request.push(NAME);
                push_text(&mut request, name)?;
                *port
            }
        };
        request.extend_from_slice(&port.to_be_bytes());
        Ok(request)
    }
}

const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

const fn exchange(send: Vec<u8>, need: usize) -> Step {
    Step::Exchange { send, need }
}

/// RFC 1929.
fn user_password(credentials: &Credentials) -> Result<Vec<u8>, Failure> {
    let mut message = vec![1];
    push_text(&mut message, &credentials.user)?;
    push_text(&mut message, &credentials.password)?;
    Ok(message)
}

/// `text`, after its length in one byte.
fn push_text(message: &mut Vec<u8>, text: &str) -> Result<(), Failure> {
    let length = u8::try_from(text.len())
        .map_err(|_| Failure::refused("speaks SOCKS5, where nothing is longer than 255 bytes"))?;
    message.push(length);
    message.extend_from_slice(text.as_bytes());
    Ok(())
}

fn no_socks() -> Failure {
    Failure::refused("answered with what is no SOCKS: check the scheme and the port of the proxy")
}

/// RFC 1928 section 6.
fn refusal(code: u8) -> Failure {
    let reason = match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "unknown reason",
    };
    Failure::refused(format!("could not connect: {reason} ({code})"))
}

/// Plays the handshake on a connection.
pub(crate) async fn open<C>(connection: &mut C, mut handshake: Handshake) -> Result<(), Failure>
where
    C: AsyncRead + AsyncWrite + Unpin + Send,
{
    // The longest is a bound name of 255 bytes and its port.
    let mut buffer = [0; 257];
    let mut received = 0;
    while let Step::Exchange { send, need } = handshake.step(&buffer[..received])? {
        if !send.is_empty() {
            connection.write_all(&send).await?;
            connection.flush().await?;
        }
        let read = connection.read_exact(&mut buffer[..need]).await;
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Failure::refused("closed the connection before it answered")
            }
            _ => error.into(),
        })?;
        received = need;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn name() -> Target {
        Target::Name("h.example".into(), 443)
    }

    fn address(text: &str) -> Target {
        Target::Address(text.parse().expect("an address"))
    }

    fn credentials() -> Option<Credentials> {
        Some(Credentials {
            user: "me".into(),
            password: "secret".into(),
        })
    }

    /// Plays a handshake with what the proxy says. Returns what was sent, and what was left over or the refusal.
    fn play(mut handshake: Handshake, mut bytes: &[u8]) -> (Vec<u8>, Result<usize, String>) {
        let (mut sent, mut received): (Vec<u8>, &[u8]) = (Vec::new(), &[]);
        loop {
            match handshake.step(received) {
                Ok(Step::Done) => return (sent, Ok(bytes.len())),
                Ok(Step::Exchange { send, need }) => {
                    sent.extend(send);
                    (received, bytes) = bytes.split_at(need);
                }
                Err(failure) => return (sent, Err(failure.to_string())),
            }
        }
    }

    #[test]
    fn socks4_asks_for_addresses_and_names() {
        let granted = [0, 90, 0, 0, 0, 0, 0, 0, b'!'];
        let (sent, left) = play(
            Handshake::v4(address("10.1.2.3:80"), credentials()),
            &granted,
        );
        assert_eq!(sent, [4, 1, 0, 80, 10, 1, 2, 3, b'm', b'e', 0]);
        assert_eq!(left, Ok(1), "what follows is the origin's");
        let (sent, left) = play(Handshake::v4(name(), None), &granted);
        assert_eq!(sent, b"\x04\x01\x01\xbb\0\0\0\x01\0h.example\0");
        assert_eq!(left, Ok(1));
        let (_, left) = play(Handshake::v4(address("[::1]:80"), None), &granted);
        assert!(left.expect_err("IPv6").contains("socks5"));
        for (code, told) in [(91, "refused"), (93, "another user"), (1, "refused with 1")] {
            let (_, left) = play(Handshake::v4(name(), None), &[0, code, 0, 0, 0, 0, 0, 0]);
            assert!(left.expect_err("no").contains(told));
        }
    }

    #[test]
    fn socks5_asks_for_addresses_and_names() {
        let bound4 = b"\x05\0\x05\0\0\x01\x7f\0\0\x01\x1f\x90!";
        let (sent, left) = play(Handshake::v5(address("10.1.2.3:80"), None), bound4);
        assert_eq!(sent, b"\x05\x01\0\x05\x01\0\x01\x0a\x01\x02\x03\0\x50");
        assert_eq!(left, Ok(1));
        let bound6 = [&b"\x05\0\x05\0\0\x04"[..], &[0; 18], b"!"].concat();
        let (sent, left) = play(Handshake::v5(address("[::1]:80"), None), &bound6);
        assert_eq!(sent.len(), 3 + 4 + 16 + 2);
        assert_eq!(left, Ok(1));
        let bound_name = b"\x05\0\x05\0\0\x03\x02ab\0\0!";
        let (sent, left) = play(Handshake::v5(name(), None), bound_name);
        assert_eq!(sent, b"\x05\x01\0\x05\x01\0\x03\x09h.example\x01\xbb");
        assert_eq!(left, Ok(1));
    }

    #[test]
    fn socks5_says_who_is_asking_if_it_is_asked() {
        let wanted = b"\x05\x02\x01\0\x05\0\0\x01\0\0\0\0\0\0";
        let (sent, left) = play(Handshake::v5(name(), credentials()), wanted);
        assert!(sent.starts_with(b"\x05\x02\0\x02\x01\x02me\x06secret\x05\x01\0\x03"));
        assert_eq!(left, Ok(0));
        let not_wanted = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
        let (sent, left) = play(Handshake::v5(name(), credentials()), not_wanted);
        assert!(!sent.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(left, Ok(0));
    }

    #[test]
    fn refusals_are_told() {
        for (credentials, bytes, told) in [
            (None, &b"\x05\xff"[..], "wants credentials"),
            (credentials(), b"\x05\xff", "takes no user"),
            (credentials(), b"\x05\x02\x01\x01", "not accept"),
            (None, b"\x05\x02", "no SOCKS"),
            (None, b"HT", "no SOCKS"),
            (None, b"\x05\0\x05\x02\0\x01", "not allowed"),
            (None, b"\x05\0\x05\x05\0\x01", "connection refused"),
            (None, b"\x05\0\x05\0\0\x09", "no SOCKS"),
            (None, b"\x05\0\x04\0\0\x01", "no SOCKS"),
        ] {
            let (_, left) = play(Handshake::v5(name(), credentials), bytes);
            let failure = left.expect_err("refused");
            assert!(failure.contains(told), "{failure}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>) {
            crate::fuzzing::socks(&bytes);
        }

        #[test]
        fn it_never_needs_more_than_its_buffer(version: u8, answers: Vec<[u8; 257]>) {
            let mut handshake = Handshake::for_fuzzing(version);
            let mut received: &[u8] = &[];
            for answer in &answers {
                match handshake.step(received) {
                    Ok(Step::Exchange { need, .. }) => {
                        prop_assert!((1..=257).contains(&need));
                        received = &answer[..need];
                    }
                    _ => break,
                }
            }
        }
    }
}
