//! The PROXY protocol, versions 1 and 2: how a load balancer says whose connection it passes on.
//!
//! A proxy that works below HTTP hides its clients: every connection comes from itself. So it sends a header before anything else, with
//! the addresses of the connection on its other side ([the protocol](https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt)).
//! [`ConnectInfo::client`](crate::ConnectInfo::client) tells whose it is from then on, and
//! [`proxied`](crate::ConnectInfo::proxied) what else was said.
//!
//! From trusted networks the header is required: without it, a request would seem to come from the proxy, which may be more than the
//! client is allowed. From everywhere else it is refused: whoever sends one would choose their own address. Connections without a
//! header are served there.
//!
//! # Placement
//!
//! The first handshake of all: the header comes before TLS.
//!
//! # State
//!
//! None. Clones share the list of networks.
//!
//! # Readiness and cancellation
//!
//! Always ready. It waits for the header, or, from networks that are not trusted, for as much as tells that there is none, for as
//! long as [handshakes](crate::Listener::handshake_timeout) may take. What was read past the header is given to what comes next.
//!
//! # Errors
//!
//! [`ProxyProtocolError`]: no header where there has to be one, one where there must not be, or one that breaks the protocol. A
//! header may have 4 KiB; nothing is allocated for one that says it is longer.
//!
//! # Differences from nginx
//!
//! - nginx requires the header on a socket from everybody, or from nobody; whom to believe is a second setting, and forgetting it lets
//!   everybody choose their address.
//! - The CRC32C of version 2 is verified if it is there. nginx does not look at it.
//! - What came over a datagram socket is refused, as version 2 demands of what makes no sense here.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::{ConnectInfo, Listener, ProxyProtocol};
//! use http::{Request, Response};
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
//! use tower::service_fn;
//!
//! async fn who(request: Request<Body>) -> Result<Response<Body>, BoxError> {
//!     let info = request.extensions().get::<ConnectInfo>().ok_or("no listener")?;
//!     Ok(Response::new(Body::from(info.client().to_string())))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let listener = Listener::bind("127.0.0.1:0")
//!     .await?
//!     .proxy_protocol(ProxyProtocol::trusting(["127.0.0.0/8".parse()?]));
//! let addr = listener.local_addr();
//! let handle = listener.handle();
//! let serving = tokio::spawn(listener.serve(service_fn(who)));
//!
//! let mut proxy = TcpStream::connect(addr).await?;
//! proxy.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n").await?;
//! proxy.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! proxy.read_to_string(&mut answer).await?;
//! assert!(answer.ends_with("192.0.2.7:4711"));
//! # handle.shutdown();
//! # serving.await?;
//! # Ok(())
//! # }
//! ```
//!
//! The parser alone, on bytes from anywhere:
//!
//! ```
//! use bartizan_listener::proxy_protocol::{Parsed, parse};
//!
//! let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\nGET / HTTP/1.1\r\n";
//! let Parsed::Header { header, len } = parse(bytes, 4096)? else { panic!("it is all there") };
//! assert_eq!(header.source().unwrap().to_string(), "192.0.2.7:4711");
//! assert_eq!(header.destination().unwrap().to_string(), "198.51.100.1:80");
//! assert!(bytes[len..].starts_with(b"GET"));
//!
//! assert!(matches!(parse(b"PROX", 4096)?, Parsed::Incomplete));
//! assert!(matches!(parse(b"POST / HTTP/1.1\r\n", 4096)?, Parsed::Other));
//! assert!(parse(b"PROXY TCP4 192.0.2.777 198.51.100.1 4711 80\r\n", 4096).is_err());
//! # Ok::<_, bartizan_listener::proxy_protocol::ProxyProtocolError>(())
//! ```

mod crc32c;
mod error;
mod header;
mod parse;
mod prefixed;
mod service;
mod v1;
mod v2;

pub use self::{
    error::ProxyProtocolError,
    header::{ProxiedTls, ProxyHeader, Tlv, Tlvs},
    parse::{Parsed, parse},
    prefixed::Prefixed,
    service::{ProxyProtocol, ProxyProtocolFuture},
};
