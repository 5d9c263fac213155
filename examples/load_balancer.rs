//! Behind a load balancer: who the client is, by the PROXY protocol and by `X-Forwarded-For`, and who is not believed.
//! `cargo run --example load_balancer`.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::net::SocketAddr;

use axum::{Extension, Router, http::HeaderMap, routing::get};
use bartizan::{
    core::BoxError,
    listener::{
        ConnectInfo, Listener, ProxyProtocol,
        forwarded::{ClientIp, ForwardedLayer, TrustedNetworks},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::Layer;

// ANCHOR: who
async fn who(
    Extension(connection): Extension<ConnectInfo>,
    Extension(client): Extension<ClientIp>,
    headers: HeaderMap,
) -> String {
    let scheme = match client.is_https() {
        Some(true) => "https",
        Some(false) => "http",
        None => "unknown",
    };
    format!(
        "client {}, {} trusted hops, scheme {scheme}, connected from {}, field left: {}",
        client.ip(),
        client.hops(),
        connection
            .client()
            .ip()
            .map_or("nowhere".to_owned(), |ip| ip.to_string()),
        headers.contains_key("x-forwarded-for"),
    )
}
// ANCHOR_END: who

fn app() -> Router {
    Router::new().route("/", get(who))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // ANCHOR: l7
    // A proxy that speaks HTTP, and says in a field of each request whose it is.
    let trusted = TrustedNetworks::try_new(["127.0.0.0/8"])?;
    let listener = Listener::bind("127.0.0.1:0").await?;
    let http = listener.local_addr();
    let http_handle = listener.handle();
    // Round the router, so that every layer and every handler sees the same client.
    let service = ForwardedLayer::x_forwarded(trusted.clone()).layer(app());
    let serving_http = tokio::spawn(listener.serve(service));
    // ANCHOR_END: l7

    // ANCHOR: l4
    // A balancer of connections, which says once per connection whose it is, before anything else.
    let listener = Listener::bind("127.0.0.1:0")
        .await?
        .proxy_protocol(ProxyProtocol::trusting(["127.0.0.0/8".parse()?]));
    let tcp = listener.local_addr();
    let tcp_handle = listener.handle();
    let service = ForwardedLayer::x_forwarded(trusted).layer(app());
    let serving_tcp = tokio::spawn(listener.serve(service));
    // ANCHOR_END: l4

    let forged = "X-Forwarded-For: 10.9.9.9\r\n";
    let added = "X-Forwarded-For: 10.9.9.9, 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    let header = "PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n";
    for (what, addr, before, fields) in [
        ("HTTP proxy", http, "", added),
        ("TCP balancer", tcp, header, ""),
        ("TCP balancer, forged field", tcp, header, forged),
    ] {
        println!("{what}: {}", ask(addr, before, fields).await?);
    }
    let refused = ask(tcp, "", "").await;
    println!("TCP balancer without its header: {}", refused.is_err());

    http_handle.shutdown();
    tcp_handle.shutdown();
    serving_http.await?;
    serving_tcp.await?;
    Ok(())
}

/// What a balancer would send, since no client of HTTP does.
async fn ask(addr: SocketAddr, before: &str, fields: &str) -> Result<String, BoxError> {
    let mut io = TcpStream::connect(addr).await?;
    let request =
        format!("{before}GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n");
    io.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("it was closed")?;
    Ok(body.to_owned())
}
