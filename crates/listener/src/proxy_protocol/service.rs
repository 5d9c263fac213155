//! The handshake.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};
use tower_service::Service;

use super::{Parsed, Prefixed, ProxyProtocolError, parse};
use crate::{Accepted, Address};

/// Bytes of a header: several times what proxies send, a certificate's name included.
const MAX_LEN: usize = 4096;

/// Bytes asked for at once. A header that carries no more than addresses, as the protocol's document reckons.
const CHUNK: usize = 536;

/// Requires a PROXY header of those who are trusted, and refuses it from others. See the [module](super).
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    /// `None`: no headers are read.
    trusted: Option<Arc<[IpNet]>>,
    trust_local: bool,
}

impl ProxyProtocol {
    /// Trusts peers in these networks.
    ///
    /// Name the proxies' own, and nothing wider: whoever can connect from there can claim to be anybody.
    pub fn trusting(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            trusted: Some(networks.into_iter().collect()),
            trust_local: false,
        }
    }

    /// Reads no headers, and refuses none: for where whether there is a proxy is known only at run time.
    pub const fn off() -> Self {
        Self {
            trusted: None,
            trust_local: false,
        }
    }

    /// Whether peers without an IP address, on Unix sockets and within the process, are trusted, too. The default is `false`.
    #[must_use]
    pub const fn trust_local(mut self, trust: bool) -> Self {
        self.trust_local = trust;
        self
    }

    fn trusts(&self, networks: &[IpNet], peer: &Address) -> bool {
        match peer.ip() {
            Some(ip) => networks.iter().any(|network| network.contains(&ip)),
            None => self.trust_local,
        }
    }
}

impl<IO> Service<Accepted<IO>> for ProxyProtocol
where
    IO: AsyncRead + Send + Unpin + 'static,
{
    type Response = Accepted<Prefixed<IO>>;
    type Error = ProxyProtocolError;
    type Future = ProxyProtocolFuture<IO>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyProtocolError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, accepted: Accepted<IO>) -> ProxyProtocolFuture<IO> {
        let trusted = self
            .trusted
            .as_ref()
            .map(|networks| self.trusts(networks, accepted.info.peer()));
        ProxyProtocolFuture(match trusted {
            None => State::Off(Some(accepted)),
            Some(trusted) => State::Reading(Box::pin(read(accepted, trusted))),
        })
    }
}

/// A header that is being read. Dropping it closes the connection.
pub struct ProxyProtocolFuture<IO>(State<IO>);

enum State<IO> {
    Off(Option<Accepted<IO>>),
    Reading(Pin<Box<dyn Future<Output = Output<IO>> + Send>>),
}

type Output<IO> = Result<Accepted<Prefixed<IO>>, ProxyProtocolError>;

impl<IO: Unpin> Future for ProxyProtocolFuture<IO> {
    type Output = Output<IO>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output<IO>> {
        match &mut self.0 {
            State::Off(accepted) => {
                let accepted = accepted.take().expect("it is not polled after its end");
                Poll::Ready(Ok(accepted.map(|io| Prefixed::new(Bytes::new(), io))))
            }
            State::Reading(read) => read.as_mut().poll(cx),
        }
    }
}

impl<IO> fmt::Debug for ProxyProtocolFuture<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocolFuture")
            .finish_non_exhaustive()
    }
}

async fn read<IO>(accepted: Accepted<IO>, trusted: bool) -> Output<IO>
where
    IO: AsyncRead + Send + Unpin,
{
    let Accepted { mut io, mut info } = accepted;
    let mut bytes = Vec::new();
    let parsed = loop {
        match parse(&bytes, MAX_LEN) {
            Ok(Parsed::Incomplete) => {}
            // Whoever must not send one is told so, and not what is wrong with it.
            Err(error) if trusted => return Err(error),
            Err(_) => return Err(ProxyProtocolError::forbidden()),
            Ok(parsed) => break parsed,
        }
        // Bounded: past the most that a header may have, it is no longer incomplete.
        bytes.reserve(CHUNK);
        let mut limited = (&mut io).take(CHUNK as u64);
        let read = limited.read_buf(&mut bytes).await;
        if read.map_err(ProxyProtocolError::io)? == 0 {
            if trusted {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Err(ProxyProtocolError::io(error));
            }
            // HTTP, or TLS, knows what to make of it.
            break Parsed::Other;
        }
    };
    match parsed {
        Parsed::Header { header, len } if trusted => {
            info.set_proxied(header);
            bytes.drain(..len);
        }
        Parsed::Header { .. } => return Err(ProxyProtocolError::forbidden()),
        Parsed::Other | Parsed::Incomplete if trusted => return Err(ProxyProtocolError::missing()),
        Parsed::Other | Parsed::Incomplete => {}
    }
    Ok(Accepted::new(Prefixed::new(bytes.into(), io), info))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::ConnectInfo;

    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";

    /// What is left to read, and who it comes from, after these pieces from that peer.
    async fn said(peer: &str, pieces: &[&[u8]]) -> Result<(String, String), ProxyProtocolError> {
        let peer: SocketAddr = peer.parse().expect("an address");
        let (mut theirs, ours) = tokio::io::duplex(4096);
        let info = ConnectInfo::new(Address::Memory, peer.into());
        let mut proxy = ProxyProtocol::trusting(["10.0.0.0/8".parse().expect("a network")]);
        let handshake = proxy.call(Accepted::new(ours, info));
        let send = async move {
            for piece in pieces {
                // It may be refused already.
                let _ = theirs.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        };
        let (accepted, ()) = tokio::join!(handshake, send);
        let Accepted { mut io, info } = accepted?;
        let mut rest = String::new();
        io.read_to_string(&mut rest)
            .await
            .map_err(ProxyProtocolError::io)?;
        Ok((info.client().to_string(), rest))
    }

    #[tokio::test]
    async fn a_trusted_peer_is_believed_and_what_follows_is_kept() {
        let says = ("192.0.2.7:4711".to_owned(), "GET /".to_owned());
        let whole = [HEADER, b"GET /"].concat();
        assert_eq!(said("10.1.2.3:4", &[&whole]).await.expect("good"), says);
        let bytes: Vec<_> = whole.chunks(1).collect();
        assert_eq!(said("10.1.2.3:4", &bytes).await.expect("good"), says);
    }

    #[tokio::test]
    async fn a_trusted_peer_has_to_send_one() {
        let error = said("10.1.2.3:4", &[b"GET / HTTP/1.1\r\n"]).await;
        assert!(error.expect_err("none came").is_missing());
        let error = said("10.1.2.3:4", &[b"PROXY TCP4"]).await;
        assert!(!error.expect_err("half of one came").is_malformed());
        let error = said("10.1.2.3:4", &[b"PROXY TCP4 nonsense\r\n"]).await;
        assert!(error.expect_err("nonsense").is_malformed());
    }

    #[tokio::test]
    async fn others_must_not() {
        for pieces in [
            &[HEADER][..],
            &[&HEADER[..3], &HEADER[3..]],
            &[b"PROXY TCP4 nonsense\r\n"],
        ] {
            let error = said("192.0.2.1:4", pieces).await;
            assert!(error.expect_err("not trusted").is_forbidden());
        }
    }

    #[tokio::test]
    async fn others_are_served_without() {
        for text in ["POST / HTTP/1.1\r\n", "PROXX", "PRO", "\r\n\r\nGET /", ""] {
            let (client, rest) = said("192.0.2.1:4", &[text.as_bytes()])
                .await
                .expect("no header");
            assert_eq!((client.as_str(), rest.as_str()), ("192.0.2.1:4", text));
        }
    }
}
