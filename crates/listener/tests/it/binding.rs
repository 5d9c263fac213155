use std::{error::Error, io};

use bartizan_listener::Listener;
use tower::service_fn;

use crate::support::{Server, get, h1, hello, text, within};

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = Listener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = taken.local_addr();
    let error = Listener::bind(addr).await.expect_err("it is taken");
    assert!(error.is_in_use());
    assert!(!error.is_forbidden() && !error.is_unresolved() && !error.is_unavailable());
    assert!(
        error
            .to_string()
            .starts_with(&format!("{addr} is already in use"))
    );
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::AddrInUse));
}

#[tokio::test]
async fn an_address_of_nobody_here_is_named() {
    // TEST-NET-1 (RFC 5737).
    let error = Listener::bind(("192.0.2.1", 0))
        .await
        .expect_err("not ours");
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().starts_with("192.0.2.1:0 is no address"));
}

#[tokio::test]
async fn what_is_no_address_is_named() {
    let error = Listener::bind("nonsense").await.expect_err("no port");
    assert!(error.is_unresolved());
    assert!(error.to_string().starts_with("cannot resolve \"nonsense\""));
}

#[tokio::test]
async fn serves_on_an_inherited_socket() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = socket.local_addr().expect("it is bound");
    let listener = Listener::from_std(socket).expect("it listens");
    assert_eq!(listener.local_addr(), addr);

    let server = Server::start(listener, service_fn(hello));
    let response = h1(addr)
        .await
        .send_request(get("/"))
        .await
        .expect("a response");
    assert_eq!(text(response).await, "hello");
    server.shutdown().await;
}

#[tokio::test]
async fn serves_on_a_socket_of_tokio() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let server = Server::start(
        Listener::from_tokio(socket).expect("it listens"),
        service_fn(hello),
    );
    let response = h1(server.addr)
        .await
        .send_request(get("/"))
        .await
        .expect("a response");
    assert_eq!(text(response).await, "hello");
    server.shutdown().await;
}

#[tokio::test]
async fn a_listener_that_never_served_has_ended_when_it_is_dropped() {
    let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr();
    let handle = listener.handle();
    drop(listener);
    assert_eq!(within(handle.wait()).await.cut, 0);
    Listener::bind(addr).await.expect("the port is free again");
}
