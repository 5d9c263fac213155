//! Mutual TLS: who a client is, by its certificate. `cargo run --example mutual_tls`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Extension, Router, http::StatusCode, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport, connect::TlsLayer},
    core::BoxError,
    listener::{Listener, Metered, Stream},
    tls::{
        ClientAuth, ClientTls, Identity, ListenerTls, PeerName, Provider, TlsAcceptor, TlsInfo,
        TlsStream, TrustAnchors,
    },
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

// ANCHOR: handler
/// Who calls: the name is in the certificate, which was verified before the first request.
fn workload(tls: &TlsInfo) -> Option<&str> {
    tls.peer_names().iter().find_map(|name| match name {
        PeerName::Uri(uri) => uri.strip_prefix("spiffe://prod.test/"),
        _ => None,
    })
}

async fn orders(Extension(tls): Extension<TlsInfo>) -> Result<String, StatusCode> {
    match workload(&tls) {
        Some("web") => Ok("hello, web".to_owned()),
        // Known, and still not allowed: that is for the application to say.
        _ => Err(StatusCode::FORBIDDEN),
    }
}
// ANCHOR_END: handler

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = Provider::aws_lc();
    let (ca, stranger) = (Ca::new()?, Ca::new()?);

    // ANCHOR: listener
    let trust = TrustAnchors::from_pem(ca.pem.as_bytes())?;
    let acceptor = TlsAcceptor::try_new(
        ListenerTls::new(provider.clone())
            .identity(ca.server(&provider, "localhost")?)
            .client_auth(ClientAuth::Required(trust.clone())),
    )?;
    let listener = Listener::bind("127.0.0.1:0").await?.tls(
        acceptor,
        |stream: &TlsStream<Metered<Stream>>, info| {
            info.set_tls(stream.tls_info().alpn());
            info.extensions_mut().insert(stream.tls_info().clone());
        },
    );
    // ANCHOR_END: listener
    let url = format!("https://localhost:{}/orders", listener.local_addr().port());
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(Router::new().route("/orders", get(orders))));

    // ANCHOR: client
    let client = |identity: Option<Identity>| -> Result<Transport, BoxError> {
        let mut settings = ClientTls::new(provider.clone(), trust.clone());
        if let Some(identity) = identity {
            settings = settings.identity(identity);
        }
        Ok(Transport::builder()
            .tls(TlsLayer::try_new(settings)?)
            .build()?)
    };
    // ANCHOR_END: client
    for (who, identity) in [
        ("web", Some(ca.workload(&provider, "web")?)),
        ("batch", Some(ca.workload(&provider, "batch")?)),
        (
            "web, says a stranger",
            Some(stranger.workload(&provider, "web")?),
        ),
        ("nobody", None),
    ] {
        match client(identity)?.get(&url).send().await {
            Ok(response) => println!("{who}: {} {}", response.status(), response.text().await?),
            // Over TLS 1.3 a client learns that it was refused when it reads.
            Err(_) => println!("{who}: refused before any request"),
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

    fn server(&self, provider: &Provider, name: &str) -> Result<Identity, BoxError> {
        self.issue(
            provider,
            CertificateParams::new([name.to_owned()])?,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    fn workload(&self, provider: &Provider, name: &str) -> Result<Identity, BoxError> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(
            format!("spiffe://prod.test/{name}").try_into()?,
        )];
        self.issue(provider, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        provider: &Provider,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, BoxError> {
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity::from_pem(
            provider,
            pem.as_bytes(),
            key.serialize_pem().as_bytes(),
        )?)
    }
}
