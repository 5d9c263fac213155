//! Certificates replaced while the listener runs: no connection is lost, and what cannot be used changes nothing.
//! `cargo run --example certificate_reload`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Router, routing::get};
use bartizan::{
    client::{RequestExt, Transport, connect::TlsLayer},
    core::BoxError,
    listener::{Listener, Metered, Stream},
    tls::{
        AcceptorHandle, ClientTls, Error, Identity, ListenerTls, Provider, TlsAcceptor, TlsInfo,
        TlsStream, TrustAnchors,
    },
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

// ANCHOR: reload
/// What a signal, a timer or a watcher of files calls. Reading checks that key and certificate belong together; the update checks the rest.
fn reload(
    handle: &AcceptorHandle,
    provider: &Provider,
    chain: &str,
    key: &str,
) -> Result<(), BoxError> {
    let renewed = Identity::from_pem(provider, chain.as_bytes(), key.as_bytes())?;
    handle.update(|settings| {
        settings
            .no_identities()
            .identity_for("localhost", renewed.clone())
    })?;
    Ok(())
}
// ANCHOR_END: reload

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = Provider::aws_lc();
    let ca = Ca::new()?;
    let (old, new) = (ca.issue("localhost")?, ca.issue("localhost")?);

    let identity = Identity::from_pem(&provider, old.chain.as_bytes(), old.key.as_bytes())?;
    let settings = ListenerTls::new(provider.clone()).identity_for("localhost", identity);
    // ANCHOR: handle
    let acceptor = TlsAcceptor::try_new(settings)?;
    let certificates = acceptor.handle();
    // ANCHOR_END: handle
    let listener = Listener::bind("127.0.0.1:0").await?.tls(
        acceptor,
        |stream: &TlsStream<Metered<Stream>>, info| {
            info.set_tls(stream.tls_info().alpn());
        },
    );
    let url = format!("https://localhost:{}", listener.local_addr().port());
    let stop = listener.handle();
    let serving = tokio::spawn(listener.serve(Router::new().route("/", get(|| async { "hello" }))));

    let trust = TrustAnchors::from_pem(ca.pem.as_bytes())?;
    let tls = TlsLayer::try_new(ClientTls::new(provider.clone(), trust))?;
    let client = || Transport::builder().tls(tls.clone()).build();
    let shown = async |client: &Transport| -> Result<&str, BoxError> {
        let response = client.get(&url).send().await?;
        let tls = response.extensions().get::<TlsInfo>().ok_or("no TLS")?;
        let certificate = tls.peer_certificate();
        let is_old = certificate == Some(&old.der);
        Ok(if is_old {
            "the old certificate"
        } else {
            "the new certificate"
        })
    };

    let first = client()?;
    println!("at first: {}", shown(&first).await?);
    reload(&certificates, &provider, &new.chain, &new.key)?;
    println!("after a reload: {}", shown(&client()?).await?);
    println!("on the connection from before: {}", shown(&first).await?);

    let other = ca.issue("bank.test")?;
    for (what, chain, key) in [
        ("the key of another", &new.chain, &other.key),
        ("no certificate", &new.key, &new.key),
        ("for another name", &other.chain, &other.key),
    ] {
        let error = reload(&certificates, &provider, chain, key).expect_err("it cannot be used");
        let stage = error
            .downcast_ref()
            .map_or("settings".to_owned(), |error: &Error| {
                error.stage().to_string()
            });
        println!("{what}: {error} ({stage})");
    }
    println!("and still: {}", shown(&client()?).await?);

    stop.shutdown();
    serving.await?;
    Ok(())
}

struct Pem {
    chain: String,
    key: String,
    der: Vec<u8>,
}

/// A CA in memory, for a program that ends by itself.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Result<Self, BoxError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    fn issue(&self, name: &str) -> Result<Pem, BoxError> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new([name.to_owned()])?;
        let made = params.signed_by(&key, &self.issuer)?;
        Ok(Pem {
            chain: made.pem(),
            key: key.serialize_pem(),
            der: made.der().to_vec(),
        })
    }
}
