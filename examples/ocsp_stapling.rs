//! OCSP stapling: the listener brings the proof that its certificate is not revoked. `cargo run --example ocsp_stapling`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport, connect::TlsLayer},
    core::BoxError,
    listener::{Listener, Metered, Stream},
    tls::{
        ClientTls, Identity, ListenerTls, Provider, TlsAcceptor, TlsInfo, TlsStream, TrustAnchors,
        revocation::{FetchRequest, Method, Revocation, Stapler, Verdict},
    },
};
use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SigningKey,
};
use time::OffsetDateTime;
use tower::service_fn;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = Provider::aws_lc();
    let ca = Arc::new(Ca::new()?);
    // It demands a staple (RFC 7633): without one it is not even shown.
    let identity = ca.identity(&provider, "localhost")?;

    // In earnest this is `HttpFetcher::new()`, and the responder is where the certificate says.
    let responder = Arc::clone(&ca);
    let fetcher = service_fn(move |request: FetchRequest| {
        println!("{} is asked", request.uri);
        let answer = responder.answer(&request.body.unwrap_or_default());
        async move { answer }
    });
    // ANCHOR: stapler
    let mut stapler = Stapler::builder(&provider, &identity)
        .fetcher(fetcher)
        .build()?;
    let status = stapler.handle();
    // Before serving, and for no longer than one is ready to wait.
    stapler.prime(Duration::from_secs(5)).await?;
    // While serving: it fetches the next one in time, and takes away what is out of date.
    let refreshing = tokio::spawn(stapler.run());
    // ANCHOR_END: stapler
    println!("there is a staple: {}", status.response().is_some());

    // ANCHOR: listener
    // The identity shows its staple by itself.
    let acceptor = TlsAcceptor::try_new(ListenerTls::new(provider.clone()).identity(identity))?;
    // ANCHOR_END: listener
    let listener = Listener::bind("127.0.0.1:0").await?.tls(
        acceptor,
        |stream: &TlsStream<Metered<Stream>>, info| {
            info.set_tls(stream.tls_info().alpn());
        },
    );
    let url = format!("https://localhost:{}", listener.local_addr().port());
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(Router::new().route("/", get(|| async { "hello" }))));

    // ANCHOR: client
    // A client that insists on it, and asks nobody else.
    let engine = Revocation::of_servers(&provider)
        .methods([Method::Staple])
        .build()?;
    let trust = TrustAnchors::from_der([ca.der.clone()])?;
    let settings = ClientTls::new(provider, trust).revocation(engine);
    let client = Transport::builder()
        .tls(TlsLayer::try_new(settings)?)
        .build()?;
    // ANCHOR_END: client
    let response = client.get(&url).send().await?;
    if let Some(Verdict::Good(evidence)) = response
        .extensions()
        .get::<TlsInfo>()
        .map(TlsInfo::revocation)
    {
        println!("not revoked, says a {:?}", evidence[0].method);
    }
    println!("{}", response.text().await?);

    refreshing.abort();
    handle.shutdown();
    serving.await?;
    Ok(())
}

/// A CA with a responder, in memory, for a program that ends by itself.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Ca {
    fn new() -> Result<Self, BoxError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        let der = params.self_signed(&key)?.der().to_vec();
        Ok(Self {
            issuer: Issuer::new(params, key),
            der,
        })
    }

    fn identity(&self, provider: &Provider, name: &str) -> Result<Identity, BoxError> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        // authorityInfoAccess, with where the responder is, and the TLS feature `status_request`.
        let ocsp = tlv(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1]]);
        let access = tlv(
            0x30,
            &[&tlv(0x30, &[&ocsp, &tlv(0x86, &[b"http://ca.test/ocsp"])])],
        );
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access),
            CustomExtension::from_oid_content(
                &[1, 3, 6, 1, 5, 5, 7, 1, 24],
                vec![0x30, 3, 2, 1, 5],
            ),
        ];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Identity::from_der(
            provider,
            [leaf, self.der.clone()],
            key.serialized_der(),
        )?)
    }

    /// "Good", to whatever is asked (RFC 6960 section 4.2.1).
    fn answer(&self, request: &[u8]) -> Result<Bytes, BoxError> {
        // OCSPRequest, tbsRequest, requestList, Request: the first thing in it is the CertID.
        let about = (0..4).fold(request, |der, _| content(der));
        let id = &about[..about.len() - content_after(about).len()];
        // In it: the algorithm, the hash of the name, and that of the key.
        let responder = tlv(0xa2, &[&tlv(0x04, &[&content(id)[35..55]])]);
        let now = OffsetDateTime::now_utc();
        let single = tlv(
            0x30,
            &[
                id,
                &[0x80, 0],
                &date(now),
                &tlv(0xa0, &[&date(now + time::Duration::days(7))]),
            ],
        );
        let data = tlv(0x30, &[&responder, &date(now), &tlv(0x30, &[&single])]);
        let signature = self.issuer.key().sign(&data)?;
        let algorithm = tlv(
            0x30,
            &[&tlv(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])],
        );
        let basic = tlv(0x30, &[&data, &algorithm, &tlv(0x03, &[&[0], &signature])]);
        let kind = tlv(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
        let bytes = tlv(0xa0, &[&tlv(0x30, &[&kind, &tlv(0x04, &[&basic])])]);
        Ok(tlv(0x30, &[&[0x0a, 1, 0], &bytes]).into())
    }
}

fn date(at: OffsetDateTime) -> Vec<u8> {
    let (date, time) = (at.date(), at.time());
    let (month, day) = (u8::from(date.month()), date.day());
    let text = format!(
        "{:04}{month:02}{day:02}{:02}{:02}{:02}Z",
        date.year(),
        time.hour(),
        time.minute(),
        time.second()
    );
    tlv(0x18, &[text.as_bytes()])
}

/// A DER value: a tag, a length, and what it is made of.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len())
        .expect("it is no book")
        .to_be_bytes();
    let length = match (high, low) {
        (0, 0..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, &content].concat()
}

/// Where the content of the first value begins, and its length.
fn header(der: &[u8]) -> (usize, usize) {
    match der[1] {
        0x81 => (3, der[2].into()),
        0x82 => (4, u16::from_be_bytes([der[2], der[3]]).into()),
        length => (2, length.into()),
    }
}

fn content(der: &[u8]) -> &[u8] {
    let (start, length) = header(der);
    &der[start..start + length]
}

fn content_after(der: &[u8]) -> &[u8] {
    let (start, length) = header(der);
    &der[start + length..]
}
