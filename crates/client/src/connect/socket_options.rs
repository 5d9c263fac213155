//! What is set on a socket before it connects.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};

/// What is set on a TCP socket. Values that the system cannot use make connecting fail, and its error says so.
///
/// ```
/// use bartizan_client::connect::{Connection, Destination, SocketConnector, SocketOptions};
/// use bartizan_testing::RawServer;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
/// let options = SocketOptions::new().local_address("127.0.0.1".parse()?).receive_buffer(256 * 1024);
///
/// let connector = SocketConnector::new().socket_options(options);
/// let socket = connector.oneshot(Destination::of(&server.uri("/")).unwrap()).await?;
/// assert_eq!(socket.connected().local_addr().unwrap().ip().to_string(), "127.0.0.1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SocketOptions {
    nodelay: bool,
    keep_alive: Option<KeepAlive>,
    send_buffer: Option<usize>,
    receive_buffer: Option<usize>,
    reuse_address: bool,
    local_ipv4: Option<IpAddr>,
    local_ipv6: Option<IpAddr>,
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    device: Option<std::sync::Arc<str>>,
}

/// When the system asks a silent peer whether it is still there.
#[derive(Clone, Copy, Debug)]
struct KeepAlive {
    time: Duration,
    interval: Duration,
    retries: u32,
}

impl SocketOptions {
    /// The defaults below.
    pub const fn new() -> Self {
        Self {
            nodelay: true,
            keep_alive: Some(KeepAlive {
                time: Duration::from_secs(30),
                interval: Duration::from_secs(10),
                retries: 3,
            }),
            send_buffer: None,
            receive_buffer: None,
            reuse_address: false,
            local_ipv4: None,
            local_ipv6: None,
            #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
            device: None,
        }
    }

    /// Sets `TCP_NODELAY`: whether small writes leave at once. Default: `true`. Without it, a request of two small writes can wait 40 ms
    /// and more for the peer's delayed acknowledgement.
    pub const fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Sets after how long a silence the system asks whether the peer is still there, how long it waits for each answer, and how often it
    /// asks. Rounded to whole seconds by most systems.
    ///
    /// Default: 30 s, 10 s, 3 times. So a peer that vanished without a word, and with it whoever waits for its response, is noticed after
    /// a minute; and a silence is shorter than the middleboxes on the way forgive.
    pub const fn keep_alive(mut self, time: Duration, interval: Duration, retries: u32) -> Self {
        self.keep_alive = Some(KeepAlive {
            time,
            interval,
            retries,
        });
        self
    }

    /// Lets a silence last for ever.
    pub const fn without_keep_alive(mut self) -> Self {
        self.keep_alive = None;
        self
    }

    /// Sets `SO_SNDBUF`, in bytes. Default: the system's own, which grows as needed; a size ends that.
    pub const fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Sets `SO_RCVBUF`, in bytes. Default: the system's own, which grows as needed; a size ends that.
    pub const fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sets `SO_REUSEADDR`: whether a [local address](Self::local_address) may be bound while old connections of it linger. Default:
    /// `false`.
    pub const fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Connects from this address of this machine, to peers of its family; one for each family may be set. Where one is, peers of the
    /// other family are connected to only if there is one for them, too. That of a request's
    /// [`ConnectOptions`](super::ConnectOptions::local_address) comes before both. Default: the system chooses.
    pub const fn local_address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => self.local_ipv4 = Some(address),
            IpAddr::V6(_) => self.local_ipv6 = Some(address),
        }
        self
    }

    /// Sends through this network device only, by `SO_BINDTODEVICE`. Default: the system chooses.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    pub fn device(mut self, name: impl Into<std::sync::Arc<str>>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// Connects to `peer`, from `local` if that is given.
    pub(crate) async fn connect(
        &self,
        peer: SocketAddr,
        local: Option<IpAddr>,
    ) -> io::Result<TcpStream> {
        // Not TcpSocket's own constructors: they know neither keep-alive times nor devices.
        let domain = Domain::for_address(peer);
        let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.apply(&socket)?;
        if let Some(local) = self.local_for(peer, local)? {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        let stream = TcpSocket::from_std_stream(socket.into())
            .connect(peer)
            .await?;
        // Only now: some systems forget it when a socket connects.
        if self.nodelay {
            SockRef::from(&stream).set_tcp_nodelay(true)?;
        }
        Ok(stream)
    }

    fn apply(&self, socket: &RawSocket) -> io::Result<()> {
        if let Some(keep_alive) = self.keep_alive {
            let parameters = TcpKeepalive::new()
                .with_time(keep_alive.time)
                .with_interval(keep_alive.interval);
            #[cfg(any(
                target_os = "android",
                target_os = "freebsd",
                target_os = "fuchsia",
                target_os = "ios",
                target_os = "linux",
                target_os = "macos",
                target_os = "netbsd",
                windows
            ))]
            let parameters = parameters.with_retries(keep_alive.retries);
            socket.set_tcp_keepalive(&parameters)?;
        }
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if self.reuse_address {
            socket.set_reuse_address(true)?;
        }
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        Ok(())
    }

    /// The address to connect to `peer` from.
    fn local_for(&self, peer: SocketAddr, asked: Option<IpAddr>) -> io::Result<Option<IpAddr>> {
        let candidates = match asked {
            Some(_) => [asked, None],
            None => [self.local_ipv4, self.local_ipv6],
        };
        let mut given = candidates.into_iter().flatten().peekable();
        if given.peek().is_none() {
            return Ok(None);
        }
        match given.find(|local| local.is_ipv4() == peer.is_ipv4()) {
            Some(local) => Ok(Some(local)),
            None => Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the local address is of the other family",
            )),
        }
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}
