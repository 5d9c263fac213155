//! Whom a client trusts: a root of one's own, alone or beside those of the platform. `cargo run --example custom_trust`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport, connect::TlsLayer},
    core::{BoxError, find},
    listener::{Listener, Metered, Stream},
    tls::{self, ClientTls, Identity, ListenerTls, Provider, TlsAcceptor, TlsStream, TrustAnchors},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

// ANCHOR: client
fn client(provider: &Provider, trust: TrustAnchors) -> Result<Transport, BoxError> {
    let tls = TlsLayer::try_new(ClientTls::new(provider.clone(), trust))?;
    Ok(Transport::builder().tls(tls).build()?)
}
// ANCHOR_END: client

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = Provider::aws_lc();
    let (company, other) = (Ca::new("company")?, Ca::new("other")?);
    let acceptor = TlsAcceptor::try_new(
        ListenerTls::new(provider.clone()).identity(company.server(&provider, "localhost")?),
    )?;
    let listener = Listener::bind("127.0.0.1:0").await?.tls(
        acceptor,
        |stream: &TlsStream<Metered<Stream>>, info| {
            info.set_tls(stream.tls_info().alpn());
        },
    );
    let port = listener.local_addr().port();
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(Router::new().route("/", get(|| async { "hello" }))));

    // ANCHOR: trust
    // The company's alone: a certificate of any public CA is refused.
    let alone = TrustAnchors::from_pem(company.pem.as_bytes())?;
    // Beside those of the platform, where there are any: a container without CA certificates has none.
    let beside = match TrustAnchors::platform() {
        Ok(platform) => platform.and(alone.clone()),
        Err(_) => alone.clone(),
    };
    // ANCHOR_END: trust
    let others = TrustAnchors::from_pem(other.pem.as_bytes())?;
    for (whom, trust, host) in [
        ("the company alone", alone.clone(), "localhost"),
        ("it and the platform's", beside, "localhost"),
        ("somebody else", others, "localhost"),
        ("the company, for another name", alone, "127.0.0.1"),
    ] {
        let sent = client(&provider, trust)?
            .get(format!("https://{host}:{port}"))
            .send()
            .await;
        match sent {
            Ok(response) => println!("{whom}: {}", response.text().await?),
            // ANCHOR: error
            Err(error) => {
                let error = find::<tls::Error>(&error).ok_or("TLS was not at fault")?;
                assert!(error.is_certificate() && !error.is_retryable());
                println!("{whom}: {error}");
            } // ANCHOR_END: error
        }
    }
    handle.shutdown();
    serving.await?;
    Ok(())
}

/// A CA in memory, for a program that ends by itself.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Result<Self, BoxError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    fn server(&self, provider: &Provider, name: &str) -> Result<Identity, BoxError> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new([name.to_owned()])?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity::from_pem(
            provider,
            pem.as_bytes(),
            key.serialize_pem().as_bytes(),
        )?)
    }
}
