//! TLS for a listener: a service that makes TLS connections of accepted ones.
//!
//! It waits for the client's first message, takes one of the places if they are limited, chooses a certificate by the name that is asked
//! for and the signatures that the client can verify, and asks for the client's own, if it is to. One time limit covers it all. The
//! [response](crate::TlsStream) tells [what the handshake came to](crate::TlsInfo).
//!
//! # Placement
//!
//! Between the accept loop and HTTP: above what counts connections and reads PROXY headers, below everything that sees requests. A
//! connection whose time began earlier goes in by [`TlsAcceptor::accept_until`]. Each handshake belongs in a task of its own, or one that
//! is slow holds up all that come after it.
//!
//! # State
//!
//! Settings, ticket keys and places belong to the acceptor; its clones share them. A [handle](crate::AcceptorHandle) replaces the settings
//! while they are in use. New ones are checked first, and the old ones stay in force if they cannot be used. With every change the ticket
//! keys are new: a ticket is a promise by the policy of its time. Without that, one that was issued before certificates were
//! required lets its client in without one, as rustls asks for none when it resumes. [Keys that several processes
//! share](crate::TicketKeys) stay, and their tickets are bound to the policy instead. Should a session come without the certificate that is
//! required all the same, it is refused.
//!
//! # Readiness and cancellation
//!
//! Always ready. Dropping the future closes the connection and gives its place back. Nothing is spawned.
//!
//! # Errors
//!
//! [`Error`](crate::Error) says at which stage, for which name, and why. Most are the client's: an accept loop logs and goes on.
//!
//! Over TLS 1.3 a client's handshake is done before its certificate is verified. One that is refused learns it from its first read.
//!
//! # Differences from tokio-rustls
//!
//! - There is a time limit, and one for handshakes at a time.
//! - Certificates are chosen by wildcard too, and by what the client can verify. `ResolvesServerCertUsingSni` has neither.
//! - Settings are replaced while they are in use, tickets with them.
//! - Sessions are resumed by tickets, not from a memory of 256 of them.
//! - Key usages are checked, certificates of resumed sessions too, and revocation if an engine is set.
//! - A certificate that demands a staple is not served without one.
//! - Early data (0-RTT) cannot be turned on.
//!
//! # Examples
//!
//! One certificate, and what happens to those who speak something else:
//!
//! ```
//! # #[cfg(feature = "aws-lc")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bartizan_core::BoxError> {
//! # let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()])?;
//! # let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
//! use bartizan_tls::{Identity, ListenerTls, Provider, TlsAcceptor};
//! use tokio::{io::AsyncWriteExt, net::{TcpListener, TcpStream}};
//! use tower::Service;
//!
//! let provider = Provider::aws_lc();
//! let identity = Identity::from_pem(&provider, chain_pem.as_bytes(), key_pem.as_bytes())?;
//! let acceptor = TlsAcceptor::try_new(ListenerTls::new(provider).identity(identity))?;
//!
//! let socket = TcpListener::bind("127.0.0.1:0").await?;
//! let mut client = TcpStream::connect(socket.local_addr()?).await?;
//! client.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await?;
//!
//! let (io, _) = socket.accept().await?;
//! let mut acceptor = acceptor.clone();
//! let handshake = tokio::spawn(async move { acceptor.call(io).await });
//! let error = handshake.await?.unwrap_err();
//! assert_eq!(error.to_string(), "what the peer sent is no TLS; check that it is not plain HTTP");
//! assert!(!error.is_retryable());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc"))]
//! # fn main() {}
//! ```
//!
//! Several names, certificates renewed while the listener runs, and settings that cannot be used:
//!
//! ```
//! # #[cfg(feature = "aws-lc")]
//! # fn main() -> Result<(), bartizan_core::BoxError> {
//! # let make = |name: &str| {
//! #     let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
//! #     bartizan_tls::Identity::from_pem(&bartizan_tls::Provider::aws_lc(), made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap()
//! # };
//! # let (shop, tenants, renewed) = (make("shop.test"), make("*.tenants.test"), make("shop.test"));
//! use bartizan_tls::{ListenerTls, Provider, TlsAcceptor};
//!
//! let acceptor = TlsAcceptor::try_new(
//!     ListenerTls::new(Provider::aws_lc())
//!         .identity_for("shop.test", shop)
//!         .identity_for("*.tenants.test", tenants.clone())
//!         // Leave processor time to the connections that are there.
//!         .max_handshakes(1000),
//! )?;
//! let handle = acceptor.handle();
//!
//! handle.update(|settings| {
//!     settings
//!         .no_identities()
//!         .identity_for("shop.test", renewed.clone())
//!         .identity_for("*.tenants.test", tenants.clone())
//! })?;
//!
//! let error = handle.update(|settings| settings.identity_for("bank.test", renewed.clone())).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "invalid identity_for `bank.test`: expected a name that the certificate is valid for"
//! );
//! // What was in force still is.
//! assert!(!format!("{:?}", handle.settings()).contains("bank.test"));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc"))]
//! # fn main() {}
//! ```

mod handle;
mod resolver;
mod service;
mod settings;

pub use self::{
    handle::AcceptorHandle,
    service::{AcceptFuture, TlsAcceptor},
    settings::{ClientAuth, ListenerTls},
};
