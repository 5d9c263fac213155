//! Checking revocation: a client that was let in, until a list says that it is revoked. `cargo run --example revocation`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Extension, Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport, connect::TlsLayer},
    core::BoxError,
    listener::{Listener, Metered, Stream},
    tls::{
        ClientAuth, ClientTls, Identity, ListenerTls, Provider, TlsAcceptor, TlsInfo, TlsStream,
        TrustAnchors,
        revocation::{CrlIndex, OnUnavailable, Revocation, Verdict},
    },
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = Provider::aws_lc();
    let ca = Ca::new()?;

    // ANCHOR: engine
    let lists = CrlIndex::new(&provider);
    lists.add_issuers([&ca.der])?;
    // Each list is taken or refused alone, and verified here, once.
    for added in lists.add(ca.list(1, &[])?) {
        println!("a list: {:?}", added?.place);
    }
    let engine = Revocation::of_clients(&provider)
        .crls(lists.clone())
        // Whom no list speaks of is not let in. The default, and worth saying.
        .on_unavailable(OnUnavailable::Reject)
        .build()?;
    let trust = TrustAnchors::from_der([ca.der.clone()])?;
    let acceptor = TlsAcceptor::try_new(
        ListenerTls::new(provider.clone())
            .identity(ca.identity(&provider, 1)?)
            .client_auth(ClientAuth::Required(trust.clone()))
            .revocation(engine),
    )?;
    // ANCHOR_END: engine
    let listener = Listener::bind("127.0.0.1:0").await?.tls(
        acceptor,
        |stream: &TlsStream<Metered<Stream>>, info| {
            info.set_tls(stream.tls_info().alpn());
            info.extensions_mut().insert(stream.tls_info().clone());
        },
    );
    let url = format!("https://localhost:{}", listener.local_addr().port());
    let handle = listener.handle();

    // ANCHOR: handler
    async fn hello(Extension(tls): Extension<TlsInfo>) -> String {
        match tls.revocation() {
            Verdict::Good(evidence) => format!("not revoked, says a {:?}", evidence[0].method),
            other => format!("{other:?}"),
        }
    }
    // ANCHOR_END: handler
    let serving = tokio::spawn(listener.serve(Router::new().route("/", get(hello))));

    let settings = ClientTls::new(provider.clone(), trust).identity(ca.identity(&provider, 7)?);
    // The sessions of both are the same, the connections are not.
    let tls = TlsLayer::try_new(settings)?;
    let client = || Transport::builder().tls(tls.clone()).build();
    let response = client()?.get(&url).send().await?;
    println!("certificate 7: {}", response.text().await?);

    // ANCHOR: revoke
    // A newer list. It counts from the next connection on, though that one could resume a session.
    for added in lists.add(ca.list(2, &[7])?) {
        println!("a newer list: {:?}", added?.place);
    }
    // ANCHOR_END: revoke
    let refused = client()?.get(&url).send().await.is_err();
    println!(
        "certificate 7 is {}",
        if refused { "refused" } else { "let in" }
    );

    // An older one does not undo it.
    for added in lists.add(ca.list(1, &[])?) {
        println!("the older list again: {:?}", added?.place);
    }
    let refused = client()?.get(&url).send().await.is_err();
    println!(
        "certificate 7 is {}",
        if refused { "refused" } else { "let in" }
    );

    handle.shutdown();
    serving.await?;
    Ok(())
}

/// A CA in memory, for a program that ends by itself.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Ca {
    fn new() -> Result<Self, BoxError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let der = params.self_signed(&key)?.der().to_vec();
        Ok(Self {
            issuer: Issuer::new(params, key),
            der,
        })
    }

    fn identity(&self, provider: &Provider, serial: u64) -> Result<Identity, BoxError> {
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate()?;
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Identity::from_der(provider, [der], key.serialized_der())?)
    }

    fn list(&self, number: u64, revoked: &[u64]) -> Result<Vec<u8>, BoxError> {
        let now = OffsetDateTime::now_utc();
        let revoked = revoked.iter().map(|&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().to_vec())
    }
}
