//! What is sent to break things.

use std::{collections::HashMap, convert::Infallible};

use bartizan_core::Body;
use bartizan_listener::extract::{
    ExtractError, Form, FromBody, Json, Respond, Text, Xml, multipart::Multipart,
};
use http::{Request, Response};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::service_fn;

use super::read;
use crate::support::{Server, bind, hello, raw, rest, within};

/// As deep as its peer wants it.
#[derive(Debug, Deserialize, Serialize)]
struct Node {
    #[serde(default)]
    node: Vec<Self>,
}

#[tokio::test]
async fn deep_nesting_takes_no_stack() {
    let levels = 100_000;
    let json = "{\"node\":[".repeat(levels);
    let error = read::<Json<Node>>("application/json", json).await;
    assert!(error.expect_err("too deep").is_malformed());
    let error = read::<Json<serde_json::Value>>("application/json", "[".repeat(levels)).await;
    assert!(error.expect_err("too deep").is_malformed());
    let xml = "<node>".repeat(levels);
    let error = read::<Xml<Node>>("application/xml", xml).await;
    assert!(error.expect_err("too deep").is_malformed());
}

#[tokio::test]
async fn keys_of_a_megabyte_are_not_sent_back() {
    let long = "k".repeat(1 << 19);
    let json = format!("{{\"{long}\": \"no number\"}}");
    let form = format!("{long}=x");
    let errors: [ExtractError; 2] = [
        read::<Json<HashMap<String, u8>>>("application/json", json)
            .await
            .expect_err("no number"),
        read::<Form<HashMap<String, u8>>>("application/x-www-form-urlencoded", form)
            .await
            .expect_err("no number"),
    ];
    for error in errors {
        assert!(error.to_string().len() < 500);
        let response: Response<Body> = error.into_response();
        assert!(response.body().whole().expect("a whole body").len() < 1_000);
    }
}

#[tokio::test]
async fn invalid_utf8_is_refused_everywhere() {
    let bytes = || Body::from(&b"\"\xff\xfe\xc3\x28\""[..]);
    assert!(
        read::<Json<String>>("application/json", bytes())
            .await
            .expect_err("JSON")
            .is_malformed()
    );
    // Of a mark for UTF-16 that is none: as Latin-1 it is text.
    let text = read::<Text>("text/plain; charset=latin1", &b"\xc3\x28"[..]).await;
    assert_eq!(text.expect("Latin-1").0, "Ã(");
    assert!(
        read::<Text>("text/plain", bytes())
            .await
            .expect_err("text")
            .is_malformed()
    );
    let xml = Body::from(&b"<s>\xff</s>"[..]);
    assert!(
        read::<Xml<String>>("text/xml", xml)
            .await
            .expect_err("XML")
            .is_malformed()
    );
    let form = "application/x-www-form-urlencoded";
    let error = read::<Form<HashMap<String, String>>>(form, "a=%ff").await;
    assert!(error.expect_err("a form").is_malformed());
    let part = &b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--b--"[..];
    let mut upload: Multipart = read("multipart/form-data; boundary=b", part)
        .await
        .expect("it is");
    let part = upload.next_part().await.expect("no error").expect("a part");
    assert!(part.text().await.expect_err("text").is_malformed());
}

async fn json(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let value = Json::<serde_json::Value>::from_body(&head, body).await;
    Ok(value.respond())
}

/// How the answer begins. What follows is not waited for, nor that the listener gives up on the rest of the body.
async fn status(client: &mut TcpStream) -> String {
    let mut answer = [0; 12];
    within(client.read_exact(&mut answer))
        .await
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

const HEAD: &str = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_body_that_says_it_is_huge_is_not_asked_for() {
    let server = Server::start(bind().await, service_fn(json));
    let request = format!("{HEAD}content-length: 1000000000000\r\nexpect: 100-continue\r\n\r\n");
    let mut client = raw(server.addr, request.as_bytes()).await;
    // Without a 100 before.
    assert_eq!(status(&mut client).await, "HTTP/1.1 413");
    drop(client);
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_grows_is_cut_at_the_limit() {
    let server = Server::start(bind().await, service_fn(json));
    let request = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    let mut client = raw(server.addr, request.as_bytes()).await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
    // More than the limit, and less than the sockets' buffers more.
    for _ in 0..17 {
        within(client.write_all(chunk.as_bytes()))
            .await
            .expect("it reads");
    }
    assert_eq!(status(&mut client).await, "HTTP/1.1 413");
    drop(client);
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_costs_its_own_connection_only() {
    let service = service_fn(|request: Request<Body>| async {
        if request.method() == http::Method::GET {
            return hello(request).await;
        }
        json(request).await
    });
    let server = Server::start(bind().await, service);
    let request = format!("{HEAD}content-length: 100\r\n\r\n{{");
    drop(raw(server.addr, request.as_bytes()).await);
    let bad_chunk = format!("{HEAD}transfer-encoding: chunked\r\n\r\nxyz\r\n");
    let mut client = raw(server.addr, bad_chunk.as_bytes()).await;
    assert_eq!(status(&mut client).await, "HTTP/1.1 400");
    drop(client);
    let fine = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut client = raw(server.addr, fine).await;
    assert!(rest(&mut client).await.starts_with(b"HTTP/1.1 200 "));
}
