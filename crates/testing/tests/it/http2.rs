//! Servers that misbehave over HTTP/2, seen by hyper's own client.

use std::{error::Error, iter, sync::Arc, time::Duration};

use bartizan_core::{Body, BoxError};
use bartizan_testing::{
    ControlledBody,
    http2::{Frame, H2Script, code, setting},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::panic_of;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

async fn client(server: &H2Script) -> SendRequest<Body> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(1 << 20);
    connect(server, &builder).await
}

async fn connect(server: &H2Script, builder: &Builder<TokioExecutor>) -> SendRequest<Body> {
    let stream = TcpStream::connect(server.addr()).await;
    let stream = TokioIo::new(stream.expect("a server that listens"));
    let (sender, connection) = builder.handshake(stream).await.expect("a connection");
    tokio::spawn(connection);
    sender
}

fn get(server: &H2Script) -> Request<Body> {
    post(server, Body::empty())
}

fn post(server: &H2Script, body: Body) -> Request<Body> {
    Request::post(server.uri("/"))
        .body(body)
        .expect("a request")
}

async fn text(response: Response<Incoming>) -> Result<String, BoxError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let sources: Vec<_> = iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect();
    sources.join(": ")
}

#[tokio::test]
async fn goaway_with_calls_in_flight() {
    let server = H2Script::start(&[], |mut peer| async move {
        let first = peer.request().await.unwrap();
        let second = peer.request().await.unwrap();
        assert!(second > first);
        peer.goaway(first, code::NO_ERROR).await;
        peer.respond(first, 200, "looked at").await;
        peer.until_gone().await;
    })
    .await;
    let mut client = client(&server).await;
    let first = client.send_request(get(&server));
    let second = client.send_request(get(&server));
    let (first, second) = tokio::join!(first, second);
    assert_eq!(text(first.unwrap()).await.unwrap(), "looked at");
    let error = chain(&second.unwrap_err());
    assert!(error.contains("not a result of an error"), "{error}");
    // Nothing keeps a connection that takes no more requests.
    timeout(LONG, server.closed()).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_reset_has_its_code_and_the_connection_lives() {
    let server = H2Script::start(&[], |mut peer| async move {
        let stream = peer.request().await.unwrap();
        peer.reset(stream, code::REFUSED_STREAM).await;
        let stream = peer.request().await.unwrap();
        peer.headers(stream, 200, &[], false).await;
        peer.data(stream, "half", false).await;
        peer.reset(stream, code::INTERNAL_ERROR).await;
        while let Some(stream) = peer.request().await {
            peer.respond(stream, 200, "").await;
        }
    })
    .await;
    let mut client = client(&server).await;
    let error = chain(&client.send_request(get(&server)).await.unwrap_err());
    assert!(error.contains("refused stream"), "{error}");
    let broken = client.send_request(get(&server)).await.unwrap();
    let error = text(broken).await.unwrap_err();
    assert!(chain(&*error).contains("internal error"), "{error:?}");
    assert_eq!(
        client.send_request(get(&server)).await.unwrap().status(),
        200
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_upload_is_stuck_until_its_window_opens() {
    let (frames, mut seen) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let waiting = gate.clone();
    let server = H2Script::start(&[(setting::INITIAL_WINDOW_SIZE, 0)], move |mut peer| {
        let (frames, waiting) = (frames.clone(), waiting.clone());
        async move {
            let stream = peer.request().await.unwrap();
            peer.respond(stream, 200, "").await;
            let stream = peer.request().await.unwrap();
            loop {
                tokio::select! {
                    frame = peer.frame() => match frame {
                        Some(Frame::Data { data, last, .. }) => {
                            frames.send(data).unwrap();
                            if last {
                                peer.respond(stream, 200, "got it").await;
                            }
                        }
                        Some(_) => {}
                        None => return,
                    },
                    () = waiting.notified() => peer.window_update(stream, 3).await,
                }
            }
        }
    })
    .await;
    let mut client = client(&server).await;
    // A client may send before it has read the settings. After an answer it knows them.
    client.send_request(get(&server)).await.unwrap();
    let mut call = tokio::spawn(client.send_request(post(&server, Body::from("hello!"))));
    timeout(SHORT, &mut call).await.unwrap_err();
    assert!(seen.try_recv().is_err());
    gate.notify_one();
    assert_eq!(seen.recv().await.unwrap(), "hel");
    gate.notify_one();
    assert_eq!(seen.recv().await.unwrap(), "lo!");
    assert_eq!(text(call.await.unwrap().unwrap()).await.unwrap(), "got it");
}

#[tokio::test]
async fn a_limit_of_streams_changes_to_none_and_back() {
    let gate = Arc::new(Notify::new());
    let waiting = gate.clone();
    let server = H2Script::start(&[], move |mut peer| {
        let waiting = waiting.clone();
        async move {
            let stream = peer.request().await.unwrap();
            peer.settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)]).await;
            loop {
                // Before the answer, the client has to know.
                if let Frame::Settings { ack: true, .. } = peer.frame().await.unwrap() {
                    break;
                }
            }
            peer.respond(stream, 200, "").await;
            tokio::select! {
                early = peer.request() => panic!("{early:?} although no stream is allowed"),
                () = waiting.notified() => {}
            }
            peer.settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]).await;
            while let Some(stream) = peer.request().await {
                peer.respond(stream, 200, "").await;
            }
        }
    })
    .await;
    let mut client = client(&server).await;
    client.send_request(get(&server)).await.unwrap();
    let mut call = tokio::spawn(client.send_request(get(&server)));
    timeout(SHORT, &mut call).await.unwrap_err();
    gate.notify_one();
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn huge_headers_go_on_in_continuation() {
    let server = H2Script::start(&[], |mut peer| async move {
        let value = "x".repeat(50_000);
        while let Some(stream) = peer.request().await {
            peer.headers(stream, 200, &[("x-huge", &value)], true).await;
        }
    })
    .await;
    let response = client(&server)
        .await
        .send_request(get(&server))
        .await
        .unwrap();
    assert_eq!(response.headers()["x-huge"].len(), 50_000);

    // A client that does not want that much.
    let mut builder = Builder::new(TokioExecutor::new());
    builder.max_header_list_size(10_000);
    let mut modest = connect(&server, &builder).await;
    assert!(modest.send_request(get(&server)).await.is_err());
}

#[tokio::test]
async fn trailers_come_after_the_body() {
    let server = H2Script::start(&[], |mut peer| async move {
        let stream = peer.request().await.unwrap();
        peer.headers(stream, 200, &[("trailer", "grpc-status")], false)
            .await;
        peer.data(stream, "hello", false).await;
        peer.trailers(stream, &[("grpc-status", "7")]).await;
        peer.until_gone().await;
    })
    .await;
    let response = client(&server)
        .await
        .send_request(get(&server))
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "7");
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request() {
    let server = H2Script::start(&[], |mut peer| async move {
        let stream = peer.request().await.unwrap();
        peer.respond(stream, 413, "enough").await;
        peer.reset(stream, code::NO_ERROR).await;
        peer.until_gone().await;
    })
    .await;
    let (body, handle) = ControlledBody::new();
    let mut client = client(&server).await;
    let response = client
        .send_request(post(&server, Body::new(body)))
        .await
        .unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(text(response).await.unwrap(), "enough");
    // Whoever uploads is stopped.
    timeout(LONG, handle.until(|counts| counts.dropped))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_ping_is_answered_unless_it_is_ignored() {
    for ignored in [false, true] {
        let server = H2Script::start(&[], move |mut peer| async move {
            if ignored {
                peer.ignore_pings();
            }
            peer.until_gone().await;
        })
        .await;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(SHORT)
            .keep_alive_timeout(if ignored { SHORT } else { LONG })
            .keep_alive_while_idle(true);
        let mut client = connect(&server, &builder).await;
        let call = client.send_request(get(&server));
        if ignored {
            let error = chain(&timeout(LONG, call).await.unwrap().unwrap_err());
            assert!(error.contains("keep-alive timed out"), "{error}");
        } else {
            timeout(SHORT * 4, call).await.unwrap_err();
            assert!(!client.is_closed());
        }
    }
}

#[tokio::test]
async fn the_server_can_ping_too() {
    let (pongs, mut ponged) = mpsc::unbounded_channel();
    let server = H2Script::start(&[], move |mut peer| {
        let pongs = pongs.clone();
        async move {
            peer.ping(*b"hi there").await;
            while let Some(frame) = peer.frame().await {
                if let Frame::Ping { ack: true, payload } = frame {
                    pongs.send(payload).unwrap();
                }
            }
        }
    })
    .await;
    let _client = client(&server).await;
    assert_eq!(&ponged.recv().await.unwrap(), b"hi there");
}

#[tokio::test]
async fn frames_that_nobody_knows_are_ignored_and_garbage_is_an_error() {
    let server = H2Script::start(&[], |mut peer| async move {
        let stream = peer.request().await.unwrap();
        let unknown = Frame::Other {
            kind: 0xf0,
            flags: 0xff,
            stream,
            payload: "whatever".into(),
        };
        peer.send(unknown).await;
        peer.respond(stream, 200, "").await;
        peer.request().await.unwrap();
        // DATA on stream 0: RFC 9113 section 6.1 has it end the connection.
        let garbage = Frame::Data {
            stream: 0,
            data: "garbage".into(),
            last: false,
        };
        peer.send(garbage).await;
        loop {
            if let Frame::GoAway { code, .. } = peer.frame().await.unwrap() {
                assert_eq!(code, code::PROTOCOL_ERROR);
                break;
            }
        }
    })
    .await;
    let mut client = client(&server).await;
    assert_eq!(
        client.send_request(get(&server)).await.unwrap().status(),
        200
    );
    let error = chain(&client.send_request(get(&server)).await.unwrap_err());
    assert!(error.contains("protocol error"), "{error}");
    timeout(LONG, server.closed()).await.unwrap();
}

#[tokio::test]
async fn a_client_may_leave_at_any_time() {
    let server = H2Script::start(&[], |mut peer| async move {
        // Far more than a socket holds, to somebody who does not read.
        for _ in 0..1000 {
            peer.send_bytes(&[0; 10_000]).await;
        }
        assert_eq!(peer.request().await, None);
        assert_eq!(peer.frame().await, None);
    })
    .await;
    for sent in ["", "PRI * HTTP", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
    }
    while server.connections() < 3 {
        tokio::task::yield_now().await;
    }
    timeout(LONG, server.closed()).await.unwrap();
}

#[tokio::test]
async fn a_client_of_http1_fails_the_test() {
    let server = H2Script::start(&[], |mut peer| async move { peer.until_gone().await }).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    server.closed().await;
    let message = panic_of(|| drop(server));
    assert!(message.contains("does not speak HTTP/2"), "{message}");
}

#[tokio::test]
async fn a_request_of_several_frames_is_one_and_only_when_it_is_complete() {
    let server = H2Script::start(&[], |mut peer| async move {
        let stream = peer.request().await.expect("a request");
        // Nothing of its headers is left to be read.
        peer.respond(stream, 200, "").await;
        while let Some(frame) = peer.frame().await {
            assert!(!matches!(frame, Frame::Continuation { .. }), "{frame:?}");
        }
    })
    .await;
    let mut request = get(&server);
    let value = "x".repeat(50_000).parse().unwrap();
    request.headers_mut().insert("x-huge", value);
    let mut client = client(&server).await;
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    drop(client);
    timeout(LONG, server.closed()).await.unwrap();
}
