//! A listener with TLS: certificates by name, and what a handler knows of the connection. `cargo run --example tls_listener`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use axum::{Extension, Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport, connect::TlsLayer},
    core::BoxError,
    listener::{Listener, Metered, Stream},
    tls::{
        ClientTls, Identity, ListenerTls, Provider, TlsAcceptor, TlsInfo, TlsStream, TrustAnchors,
    },
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = Provider::aws_lc();
    let localhost = certificate("localhost")?;
    let tenants = certificate("*.tenants.test")?;

    // ANCHOR: acceptor
    let identity =
        |pem: &Pem| Identity::from_pem(&provider, pem.chain.as_bytes(), pem.key.as_bytes());
    let acceptor = TlsAcceptor::try_new(
        ListenerTls::new(provider.clone())
            // For those who ask for no name, or for one that nobody else is for.
            .identity(identity(&localhost)?)
            .identity_for("*.tenants.test", identity(&tenants)?),
    )?;
    // ANCHOR_END: acceptor

    // ANCHOR: listener
    let listener = Listener::bind("127.0.0.1:0")
        .await?
        // What is noted here is in the extensions of every request of the connection.
        .tls(acceptor, |stream: &TlsStream<Metered<Stream>>, info| {
            info.set_tls(stream.tls_info().alpn());
            info.extensions_mut().insert(stream.tls_info().clone());
        });
    // ANCHOR_END: listener
    let url = format!("https://localhost:{}", listener.local_addr().port());
    let handle = listener.handle();

    // ANCHOR: handler
    async fn hello(Extension(tls): Extension<TlsInfo>) -> String {
        format!("{}, asked for {:?}", tls.version(), tls.server_name())
    }
    // ANCHOR_END: handler
    let serving = tokio::spawn(listener.serve(Router::new().route("/", get(hello))));

    // ANCHOR: client
    let trust = TrustAnchors::from_pem(localhost.chain.as_bytes())?;
    let client = Transport::builder()
        .tls(TlsLayer::try_new(ClientTls::new(provider, trust))?)
        .build()?;
    let response = client.get(&url).send().await?;
    println!("over {:?}: {}", response.version(), response.text().await?);
    // ANCHOR_END: client

    let plain = Transport::new();
    let error = plain.get(url.replace("https", "http")).send().await;
    println!(
        "without TLS: {}",
        if error.is_err() {
            "no answer"
        } else {
            "an answer"
        }
    );

    handle.shutdown();
    serving.await?;
    Ok(())
}

struct Pem {
    chain: String,
    key: String,
}

/// One that signs itself, for a program that ends by itself. In earnest it comes from a CA.
fn certificate(name: &str) -> Result<Pem, BoxError> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    Ok(Pem {
        chain: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    })
}
