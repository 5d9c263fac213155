//! The first bytes of a connection that comes through a load balancer: a PROXY header, and a ClientHello after it. The first byte says
//! where they are cut.

#![no_main]

use std::{io::Cursor, sync::LazyLock};

use bartizan_listener::{Accepted, Address, ConnectInfo, ProxyProtocol};
use bartizan_tls::{Identity, ListenerTls, Provider, TlsAcceptor};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt, join, sink},
    runtime::{Builder, Runtime},
};
use tower_service::Service;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

static PROXY: LazyLock<ProxyProtocol> =
    LazyLock::new(|| ProxyProtocol::trusting(["127.0.0.0/8".parse().unwrap()]));

static ACCEPTOR: LazyLock<TlsAcceptor> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (provider, key) = (Provider::aws_lc(), made.signing_key.serialized_der());
    let identity = Identity::from_der(&provider, [made.cert.der().to_vec()], key).unwrap();
    let settings = ListenerTls::new(provider).identity_for("a.test", identity.clone());
    TlsAcceptor::try_new(settings.identity(identity)).unwrap()
});

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else {
        return;
    };
    let (first, rest) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    let bytes = Cursor::new(first.to_vec()).chain(Cursor::new(rest.to_vec()));
    let addr = Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], 443)));
    let accepted = Accepted::new(join(bytes, sink()), ConnectInfo::new(addr.clone(), addr));
    RUNTIME.block_on(async {
        if let Ok(accepted) = PROXY.clone().call(accepted).await {
            // Nobody answers, so no handshake ends.
            assert!(ACCEPTOR.clone().call(accepted.io).await.is_err());
        }
    });
});
