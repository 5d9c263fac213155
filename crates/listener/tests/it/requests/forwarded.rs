//! Who the client is.

use std::{convert::Infallible, net::IpAddr};

use bartizan_core::Body;
use bartizan_listener::{
    Listener,
    forwarded::{ClientIp, ForwardedLayer, TrustedNetworks},
};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::{request, text};
use crate::support;

/// Tells what arrived: address, hops, scheme and host, and which fields.
async fn tell(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let told = match request.extensions().get::<ClientIp>() {
        Some(client) => {
            let https = client
                .is_https()
                .map_or("?", |is| if is { "https" } else { "http" });
            format!(
                "{client} {} {https} {}",
                client.hops(),
                client.host().unwrap_or("?")
            )
        }
        None => "nobody".to_owned(),
    };
    let mut names: Vec<_> = request
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    Ok(Response::new(Body::from(format!(
        "{told} [{}]",
        names.join(" ")
    ))))
}

fn trusted() -> TrustedNetworks {
    TrustedNetworks::try_new(["10.0.0.0/8"]).expect("valid")
}

async fn told(layer: ForwardedLayer, peer: &str, fields: &[(&str, &str)]) -> String {
    let peer: Option<IpAddr> = peer.parse().ok();
    let service = layer.peer_from(move |_| peer).layer(service_fn(tell));
    let response = service
        .oneshot(request("GET", "/", fields))
        .await
        .expect("infallible");
    let status = response.status();
    if status == 200 {
        text(response).await
    } else {
        status.as_str().to_owned()
    }
}

#[tokio::test]
async fn x_forwarded() {
    const FOR: &str = "x-forwarded-for";
    const PROTO: &str = "x-forwarded-proto";
    const HOST: &str = "x-forwarded-host";
    for (peer, fields, expected) in [
        ("203.0.113.9", &[][..], "203.0.113.9 0 ? ? []"),
        // Spoofed: nobody trusted wrote it.
        (
            "203.0.113.9",
            &[(FOR, "127.0.0.1"), (PROTO, "https"), ("x-real-ip", "::1")],
            "203.0.113.9 0 ? ? []",
        ),
        (
            "",
            &[(FOR, "127.0.0.1"), ("forwarded", "for=::1")],
            "nobody []",
        ),
        (
            "10.0.0.1",
            &[(FOR, "203.0.113.9"), (PROTO, "https"), (HOST, "a.example")],
            "203.0.113.9 1 https a.example [x-forwarded-for x-forwarded-host x-forwarded-proto]",
        ),
        (
            "10.0.0.1",
            &[(FOR, "127.0.0.1, 203.0.113.9")],
            "203.0.113.9 1 ? ? [x-forwarded-for]",
        ),
        // Several lines are one list.
        (
            "10.0.0.1",
            &[(FOR, "1.1.1.1"), (FOR, "203.0.113.9, 10.0.0.2")],
            "203.0.113.9 2 ? ? [x-forwarded-for]",
        ),
        // What the client wrote of its scheme is not believed, where each proxy adds its own.
        (
            "10.0.0.1",
            &[(FOR, "1.1.1.1, 203.0.113.9"), (PROTO, "https, http")],
            "203.0.113.9 1 http ? [x-forwarded-for x-forwarded-proto]",
        ),
        (
            "10.0.0.1",
            &[(FOR, "203.0.113.9"), (PROTO, "gopher")],
            "203.0.113.9 1 ? ? [x-forwarded-for x-forwarded-proto]",
        ),
        // Not read, so it may be the client's own.
        (
            "10.0.0.1",
            &[(FOR, "203.0.113.9"), ("x-real-ip", "::1")],
            "203.0.113.9 1 ? ? [x-forwarded-for]",
        ),
        // The other kind of field is the client's.
        (
            "10.0.0.1",
            &[(FOR, "203.0.113.9"), ("forwarded", "for=127.0.0.1")],
            "203.0.113.9 1 ? ? [x-forwarded-for]",
        ),
        (
            "10.0.0.1",
            &[(FOR, "nonsense")],
            "10.0.0.1 0 ? ? [x-forwarded-for]",
        ),
        (
            "::ffff:10.0.0.1",
            &[(FOR, "203.0.113.9:4711")],
            "203.0.113.9 1 ? ? [x-forwarded-for]",
        ),
    ] {
        let found = told(ForwardedLayer::x_forwarded(trusted()), peer, fields).await;
        assert_eq!(found, expected, "{peer} {fields:?}");
    }
}

#[tokio::test]
async fn forwarded() {
    const NAME: &str = "forwarded";
    for (peer, fields, expected) in [
        (
            "203.0.113.9",
            &[(NAME, "for=127.0.0.1")][..],
            "203.0.113.9 0 ? ? []",
        ),
        // Not even read, so not even refused.
        ("203.0.113.9", &[(NAME, "\"")], "203.0.113.9 0 ? ? []"),
        (
            "10.0.0.1",
            &[(NAME, "for=203.0.113.9;proto=https;host=a.example")],
            "203.0.113.9 1 https a.example [forwarded]",
        ),
        (
            "10.0.0.1",
            &[(
                NAME,
                "for=127.0.0.1;proto=http, for=203.0.113.9;proto=https, for=10.0.0.2;proto=http",
            )],
            "203.0.113.9 2 https ? [forwarded]",
        ),
        (
            "10.0.0.1",
            &[(NAME, "for=\"[2001:db8::1]:80\"")],
            "2001:db8::1 1 ? ? [forwarded]",
        ),
        (
            "10.0.0.1",
            &[(NAME, "for=_hidden;proto=https")],
            "10.0.0.1 0 https ? [forwarded]",
        ),
        (
            "10.0.0.1",
            &[(NAME, "for=1.1.1.1, proto=https")],
            "10.0.0.1 0 https ? [forwarded]",
        ),
        ("10.0.0.1", &[(NAME, "for=\"evil, for=203.0.113.9")], "400"),
        (
            "10.0.0.1",
            &[(NAME, "for=203.0.113.9;for=127.0.0.1")],
            "400",
        ),
        (
            "10.0.0.1",
            &[("x-forwarded-for", "127.0.0.1")],
            "10.0.0.1 0 ? ? []",
        ),
    ] {
        let found = told(ForwardedLayer::forwarded(trusted()), peer, fields).await;
        assert_eq!(found, expected, "{peer} {fields:?}");
    }
}

#[tokio::test]
async fn one_from_further_out_is_replaced() {
    let outer =
        ForwardedLayer::x_forwarded(trusted()).peer_from(|_| Some(IpAddr::from([1, 1, 1, 1])));
    let inner = ForwardedLayer::x_forwarded(trusted()).peer_from(|_| None);
    let service = outer.layer(inner.layer(service_fn(tell)));
    let response = service
        .oneshot(request("GET", "/", &[]))
        .await
        .expect("infallible");
    assert_eq!(text(response).await, "nobody []");
}

#[tokio::test]
async fn the_peer_is_the_listeners() {
    let listener: Listener = support::bind().await;
    let layer = ForwardedLayer::x_forwarded(TrustedNetworks::private());
    let server = support::Server::start(listener, layer.layer(service_fn(tell)));
    let mut sender = support::h1(server.addr).await;
    let mut request = support::get("/");
    let forwarded = http::HeaderValue::from_static("203.0.113.9");
    request.headers_mut().insert("x-forwarded-for", forwarded);
    let response = sender.send_request(request).await.expect("a response");
    assert!(support::text(response).await.starts_with("203.0.113.9 1 "));
    drop(sender);
    server.shutdown().await;
}
