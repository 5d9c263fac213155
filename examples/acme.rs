//! A listener that gets its certificate by itself, and renews it.
//!
//! `cargo run --example acme -- DIRECTORY FOLDER NAME` serves on port 443 of all addresses, with the platform's roots to know the CA by.
//! Without arguments it asks a CA that is not there, shows what happens then, and ends.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::{error::Error, iter};

use axum::{Router, routing::get};
use bartizan::{
    core::BoxError,
    listener::{Listener, Metered, Stream},
    tls::{
        ClientTls, ListenerTls, Provider, TlsAcceptor, TlsStream, TrustAnchors,
        acme::{Acme, HttpsClient},
    },
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let temporary = std::env::temp_dir().join(format!("bartizan-acme-{}", std::process::id()));
    let provider = Provider::aws_lc();
    let (directory, folder, name, addr, trust) = match args.as_slice() {
        [directory, folder, name] => {
            let trust = TrustAnchors::platform()?;
            // The CA comes from outside: every address, of IPv4 as well.
            let addr = "[::]:443";
            (directory.clone(), folder.into(), name.clone(), addr, trust)
        }
        [] => {
            std::fs::create_dir(&temporary)?;
            // A port where nobody listens any more.
            let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let directory = format!("https://{nobody}/directory");
            let root = rcgen::generate_simple_self_signed(["ca.test".to_owned()])?;
            let trust = TrustAnchors::from_der([root.cert.der().to_vec()])?;
            (
                directory,
                temporary.clone(),
                "shop.test".to_owned(),
                "127.0.0.1:0",
                trust,
            )
        }
        _ => return Err("usage: acme [DIRECTORY FOLDER NAME]".into()),
    };

    // ANCHOR: acme
    let client = HttpsClient::try_new(ClientTls::new(provider.clone(), trust))?;
    let acme = Acme::builder(&provider, directory, folder)
        .name(name)
        .agree_to_terms()
        .client(client)
        .build()?;
    // ANCHOR_END: acme

    // ANCHOR: listener
    // Without an identity: it answers the CA's challenges, and everybody else when there is a certificate.
    let acceptor = TlsAcceptor::try_new(ListenerTls::new(provider).acme(acme.challenges()))?;
    let certificates = acceptor.handle();
    let listener =
        Listener::bind(addr)
            .await?
            .tls(acceptor, |stream: &TlsStream<Metered<Stream>>, info| {
                info.set_tls(stream.tls_info().alpn());
            });
    // ANCHOR_END: listener
    let stop = listener.handle();
    let app = Router::new().route("/", get(|| async { "hello" }));
    let serving = tokio::spawn(listener.shutdown_on_signals().serve(app));

    // ANCHOR: run
    let mut status = acme.handle();
    let renewing = tokio::spawn(acme.run(move |identity| {
        certificates.update(|settings| settings.no_identities().identity(identity.clone()))
    }));
    match status.installed().await {
        Ok(()) => println!(
            "there is a certificate; the next is ordered at {:?}",
            status.next_order()
        ),
        Err(error) => {
            println!("not yet: {error}");
            for source in iter::successors(error.source(), |&error| error.source()) {
                println!("  because: {source}");
            }
            println!("another try is due: {}", status.next_order().is_some());
        }
    }
    // ANCHOR_END: run

    if args.is_empty() {
        stop.shutdown();
        std::fs::remove_dir_all(temporary)?;
    }
    serving.await?;
    renewing.abort();
    Ok(())
}
