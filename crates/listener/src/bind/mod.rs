//! Sockets to listen on, with the options that have to be set before.
//!
//! [`Listener::bind`](crate::Listener::bind) is for one TCP socket with the usual options. [`Bind`] is for several, for Unix sockets,
//! for those a supervisor hands over, and for anything unusual.
//!
//! # Unix sockets
//!
//! The permissions are set between bind and listen, so that nobody can connect before. A file that a process left behind is removed,
//! if it is a socket and nobody listens there: a peer is asked for, and has to be refused. The file is not removed at the end,
//! because by then a successor may be listening there; the next start takes care of it. Two processes that start on one path at the
//! same moment may both take it for left behind: the one that binds last has it.
//!
//! # Inherited sockets
//!
//! - [`ListenAddr::Inherited`]: all those that systemd, or whatever speaks its protocol, passed by `LISTEN_FDS`.
//! - [`ListenAddr::Stdin`]: the one that is the standard input, as inetd and systemd's `StandardInput=socket` pass it. A process can
//!   start its successor like that without any `unsafe`: see [`Listener::try_clone_fds`](crate::Listener::try_clone_fds).
//!
//! # Errors
//!
//! [`BindError`] names the address and says what to do. What was bound before is closed.
//!
//! # Readiness and cancellation
//!
//! Dropping the future closes what was bound so far.
//!
//! # Differences from other servers
//!
//! - TCP Fast Open (RFC 7413) cannot be turned on here: neither `std` nor socket2 0.6 has it for listening sockets, and the rest is
//!   `unsafe`. On Linux the system can turn it on for all of them, by `net.ipv4.tcp_fastopen` with the bits 0x2 and 0x400 (1027, with the
//!   client's 0x1), and a socket for which somebody else has turned it on can be inherited.
//! - `IPV6_V6ONLY` is always set, so that `[::]` means the same everywhere: IPv6 and IPv4, unless told [otherwise](Bind::only_v6).
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::Bind;
//! use http::Response;
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let listener = Bind::new()
//!     .to("127.0.0.1:0")
//!     .to(([127, 0, 0, 1], 0))
//!     .backlog(4096)
//!     .listen()
//!     .await?;
//! assert_eq!(listener.local_addrs().len(), 2);
//! # listener.handle().shutdown();
//! listener.serve(service_fn(|_| async { Ok::<_, BoxError>(Response::new(Body::empty())) })).await;
//! # Ok(())
//! # }
//! ```
//!
//! A Unix socket for the group, and one accept loop per core for the rest:
//!
//! ```
//! # #[cfg(unix)]
//! # {
//! use bartizan_listener::{Address, Bind};
//! # let directory = std::env::temp_dir();
//! # let path = directory.join(format!("bartizan-doc-{}.sock", std::process::id()));
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let listener = Bind::new()
//!     .to(path.as_path()) // such as "unix:/run/app.sock"
//!     .unix_mode(0o660)
//!     .to("127.0.0.1:0")
//!     .accept_loops(2)
//!     .listen()
//!     .await?;
//! assert!(matches!(listener.local_addrs()[0], Address::Unix(Some(_))));
//! // Both loops have the same address.
//! assert_eq!(listener.local_addrs()[1], listener.local_addrs()[2]);
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<_, bartizan_listener::BindError>(())
//! # }).unwrap();
//! # }
//! ```

mod addr;
#[cfg(unix)]
mod inherited;
mod memory;
mod socket;
mod tcp;
#[cfg(unix)]
mod unix;

use std::{num::NonZeroU32, time::Duration};

pub(crate) use self::tcp::bind_first;
pub use self::{
    addr::ListenAddr,
    memory::{Connector, Memory, memory},
    socket::{Socket, Stream},
};
use crate::{BindError, Listener};

/// Which sockets, and with which options. See the [module](self).
#[derive(Clone, Debug)]
#[must_use = "nothing is bound before `listen`"]
pub struct Bind {
    addrs: Vec<ListenAddr>,
    options: Options,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) backlog: NonZeroU32,
    pub(crate) accept_loops: usize,
    pub(crate) reuse_port: bool,
    pub(crate) only_v6: bool,
    pub(crate) unix_mode: Option<u32>,
    pub(crate) accepted: AcceptedOptions,
}

/// What is set on the connections that are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptedOptions {
    pub(crate) nodelay: bool,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) notsent_lowat: Option<NonZeroU32>,
}

impl AcceptedOptions {
    pub(crate) const DEFAULT: Self = Self {
        nodelay: true,
        keep_alive: None,
        notsent_lowat: NonZeroU32::new(64 << 10),
    };
}

impl Default for Bind {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    pub(crate) const DEFAULT: Self = Self {
        backlog: NonZeroU32::new(1024).expect("not zero"),
        accept_loops: 1,
        reuse_port: false,
        only_v6: false,
        unix_mode: None,
        accepted: AcceptedOptions::DEFAULT,
    };
}

impl Bind {
    /// No socket yet, and the defaults of each option.
    pub const fn new() -> Self {
        Self {
            addrs: Vec::new(),
            options: Options::DEFAULT,
        }
    }

    /// Listens there, too.
    ///
    /// An address, a path, or text such as `127.0.0.1:8080`, `localhost:0`, `[::]:443`, `unix:/run/app.sock`, `inherited`, `stdin`.
    /// A name is resolved, and the first of its addresses that can be bound is. Port 0 lets the system choose.
    pub fn to(mut self, addr: impl Into<ListenAddr>) -> Self {
        self.addrs.push(addr.into());
        self
    }

    /// How many connections may wait to be accepted, for each socket. The default is 1024, as std, tokio and nginx have it or less.
    ///
    /// The system caps it: on Linux at `net.core.somaxconn`, 4096 by default. Zero is taken for one. Inherited sockets keep theirs.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.options.backlog = NonZeroU32::new(backlog).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Binds each TCP address so many times, with an accept loop for each socket, as a task of its own. The default is one.
    ///
    /// Worth it where connections are short and there are tens of thousands of them per second: else one loop has time to spare. On
    /// Linux, the kernel spreads connections over the sockets by a hash (`SO_REUSEPORT`), which is fair only over many; when one of
    /// them is closed, those in its backlog are reset. Other Unix systems give them all to one. Elsewhere there is no such option,
    /// and it is always one loop. Zero is taken for one.
    pub const fn accept_loops(mut self, loops: usize) -> Self {
        self.options.accept_loops = if loops == 0 { 1 } else { loops };
        self
    }

    /// Lets other processes of the same user bind the same address (`SO_REUSEPORT`). The default is `false`.
    ///
    /// Two versions of a program can run side by side like that. It also hides that an old one is still there. Only on Unix.
    pub const fn reuse_port(mut self, reuse: bool) -> Self {
        self.options.reuse_port = reuse;
        self
    }

    /// Whether IPv6 sockets leave IPv4 alone. The default is `false`: `[::]` is for both.
    pub const fn only_v6(mut self, only: bool) -> Self {
        self.options.only_v6 = only;
        self
    }

    /// The permissions of Unix sockets, such as `0o660`. The default is what the process' umask leaves.
    ///
    /// Whoever may write may connect. Only the last nine bits count. Without effect elsewhere than on Unix.
    pub const fn unix_mode(mut self, mode: u32) -> Self {
        self.options.unix_mode = Some(mode & 0o777);
        self
    }

    /// Whether small writes go out at once (`TCP_NODELAY`). The default is `true`: see
    /// [`Listener::nodelay`](crate::Listener::nodelay).
    pub const fn nodelay(mut self, nodelay: bool) -> Self {
        self.options.accepted.nodelay = nodelay;
        self
    }

    /// After how much silence the system asks a TCP peer whether it is still there, and how often it asks again. By default it does
    /// not.
    ///
    /// A peer that is waiting for its response is silent, and if it has vanished nobody knows: its request runs on. Idle connections
    /// are closed before that by [`header_read_timeout`](crate::Listener::header_read_timeout). Fractions of a second are cut off,
    /// except that it is at least a second.
    pub fn keep_alive(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.options.accepted.keep_alive =
            after.into().map(|after| after.max(Duration::from_secs(1)));
        self
    }

    /// How many bytes the system takes for a TCP peer that it cannot send yet (`TCP_NOTSENT_LOWAT`). The default is 64 KiB; zero is taken
    /// for `None`, which leaves it to the system.
    ///
    /// Left alone, Linux takes up to 4 MiB of a response (`net.ipv4.tcp_wmem`) for a peer that does not read. Then each slow reader costs
    /// as much, the listener takes for read what is only buffered, and over HTTP/2 a response waits behind what another has left there.
    /// What is on its way to the peer is not counted, so that a fast link stays full: 64 KiB were as fast as no limit over loopback,
    /// at six gigabytes per second, where any other value was slower. Without effect elsewhere than on Linux, and on Unix sockets.
    pub fn notsent_lowat(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.options.accepted.notsent_lowat = bytes.into().and_then(NonZeroU32::new);
        self
    }

    /// Binds all of them, and gives a listener.
    ///
    /// # Errors
    ///
    /// If one of them cannot be bound, or there is none.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn listen(self) -> Result<Listener, BindError> {
        Ok(Listener::from_sockets(self.sockets().await?))
    }

    /// Binds all of them, for another server than ours.
    ///
    /// # Errors
    ///
    /// If one of them cannot be bound, or there is none.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn sockets(self) -> Result<Vec<Socket>, BindError> {
        let mut sockets = Vec::new();
        for addr in &self.addrs {
            sockets.extend(bind(addr, &self.options).await?);
        }
        if sockets.is_empty() {
            return Err(BindError::nothing());
        }
        Ok(sockets)
    }
}

/// All the sockets of one address.
pub(crate) async fn bind(addr: &ListenAddr, options: &Options) -> Result<Vec<Socket>, BindError> {
    match addr {
        ListenAddr::Tcp(addr) => tcp::bind(*addr, options),
        ListenAddr::Name(name) => bind_first(name, options).await,
        #[cfg(unix)]
        ListenAddr::Unix(path) => Ok(vec![unix::bind(path, options)?]),
        #[cfg(unix)]
        ListenAddr::Inherited => inherited::from_env(options),
        #[cfg(unix)]
        ListenAddr::Stdin => Ok(vec![inherited::from_stdin(options)?]),
        #[cfg(not(unix))]
        ListenAddr::Unix(_) | ListenAddr::Inherited | ListenAddr::Stdin => Err(BindError::bind(
            addr,
            std::io::ErrorKind::Unsupported.into(),
        )),
    }
}
