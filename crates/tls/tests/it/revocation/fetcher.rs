//! The fetcher over real sockets.

use std::{sync::Arc, time::Duration};

use bartizan_core::BoxError;
use bartizan_testing::refused_addr;
use bartizan_tls::revocation::{
    CertIdHash, FetchRequest, HttpFetcher, Method, Refusal, Revocation, Verdict,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use der::Decode as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
};
use x509_ocsp::OcspRequest;

use super::pki::{Ca, Response, Wish, connect, provider};

/// Serves one connection: gives back what was asked, and answers with `answer`.
async fn serve(answer: Vec<u8>) -> (u16, Arc<Mutex<Vec<u8>>>) {
    serve_all(vec![answer]).await
}

/// The same, with a connection for each answer.
async fn serve_all(answers: Vec<Vec<u8>>) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut all = all.lock_owned().await;
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !is_whole(&seen) {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => seen.extend_from_slice(&buffer[..read]),
                }
            }
            all.extend(seen);
            // Whoever has read enough goes away.
            let _ = stream.write_all(&answer).await;
        }
    });
    (port, asked)
}

/// Whether a request has all its head and body.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    request.len() >= end + 4 + length
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A static address, as the wishes want it.
fn leaked(port: u16, path: &str) -> &'static str {
    Box::leak(format!("http://127.0.0.1:{port}{path}").into_boxed_str())
}

/// What an engine comes to whose only way is the list at this address.
async fn fetched(ca: &Ca, uri: &'static str, max_size: usize) -> Result<Verdict, BoxError> {
    let builder = Revocation::of_clients(&provider()).methods([Method::Crl]);
    let engine = builder
        .max_crl_size(max_size)
        .fetcher(HttpFetcher::new())
        .build()?;
    let wish = Wish {
        lists: vec![uri],
        ..Wish::default()
    };
    Ok(connect(&engine, &ca.chain(7, &wish)).await?)
}

fn reason(result: Result<Verdict, BoxError>) -> String {
    let error = result.expect_err("it cannot be had");
    let mut error: &dyn std::error::Error = &*error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[tokio::test]
async fn a_list_is_fetched_by_get() {
    let ca = Ca::root("ca");
    let list = ca.list(&[]);
    let (port, asked) = serve(ok(&list)).await;
    let verdict = fetched(&ca, leaked(port, "/list.crl?a=b"), list.len()).await;
    assert!(matches!(verdict, Ok(Verdict::Good(_))), "{verdict:?}");
    let asked = String::from_utf8(asked.lock().await.clone()).expect("text");
    assert!(
        asked.starts_with("GET /list.crl?a=b HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")));
    assert!(asked.contains("accept: application/pkix-crl\r\n"));
}

/// What an engine comes to that asks the responder at this port, and what was asked.
async fn asked(
    ca: &Ca,
    answers: Vec<Vec<u8>>,
    path: &str,
    hash: CertIdHash,
    nonce: bool,
) -> (Result<Verdict, Refusal>, Vec<u8>) {
    let (port, asked) = serve_all(answers).await;
    let builder = Revocation::of_clients(&provider()).methods([Method::Ocsp]);
    let engine = builder
        .cert_id_hash(hash)
        .nonce(nonce)
        .fetcher(HttpFetcher::new())
        .build()
        .expect("an engine");
    let wish = Wish {
        responder: Some(leaked(port, path)),
        ..Wish::default()
    };
    let verdict = connect(&engine, &ca.chain(7, &wish)).await;
    let asked = asked.lock().await.clone();
    (verdict, asked)
}

/// The question in the address of a GET.
fn question(asked: &[u8], path: &str) -> OcspRequest {
    let asked = String::from_utf8(asked.to_vec()).expect("text");
    let line = asked.lines().next().expect("a line");
    let line = line.strip_prefix(&format!("GET {path}")).expect("a GET");
    let question = line.strip_suffix(" HTTP/1.1").expect("HTTP");
    assert!(
        question.len() <= 255 && !question.contains(['+', '/', '=']),
        "{question}"
    );
    let question = question
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%3D", "=");
    let der = STANDARD.decode(question).expect("base64");
    OcspRequest::from_der(&der).expect("a question")
}

#[tokio::test]
async fn a_responder_is_asked_by_get() {
    let ca = Ca::root("ca");
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        for (path, before) in [
            ("", "/"),
            ("/", "/"),
            ("/ocsp", "/ocsp/"),
            ("/ocsp/", "/ocsp/"),
        ] {
            let answer = ok(&Response::new(&ca, 7).der());
            let (verdict, asked) = asked(&ca, vec![answer], path, hash, false).await;
            assert!(matches!(verdict, Ok(Verdict::Good(_))), "{verdict:?}");
            let question = question(&asked, before);
            let id = &question.tbs_request.request_list[0].req_cert;
            assert_eq!(id.serial_number.as_bytes(), [7]);
            let head = String::from_utf8_lossy(&asked).to_lowercase();
            assert!(head.contains("accept: application/ocsp-response\r\n"));
            assert!(!head.contains("content-"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_responder_that_does_not_understand_a_get_is_asked_by_post() {
    let ca = Ca::root("ca");
    let status =
        |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes();
    let answer = ok(&Response::new(&ca, 7).der());
    for (first, again) in [
        (status("405 Method Not Allowed"), true),
        (status("404 Not Found"), true),
        (status("501 Not Implemented"), true),
        (ok(&[0x30, 3, 0x0a, 1, 1]), true),
        // It has failed, and would again.
        (status("503 Service Unavailable"), false),
        (status("302 Found"), false),
    ] {
        let answers = vec![first, answer.clone()];
        let (port, asked) = serve_all(answers).await;
        let builder = Revocation::of_clients(&provider()).methods([Method::Ocsp]);
        let engine = builder.fetcher(HttpFetcher::new()).build();
        let wish = Wish {
            responder: Some(leaked(port, "/ocsp")),
            ..Wish::default()
        };
        let verdict = connect(&engine.expect("an engine"), &ca.chain(7, &wish)).await;
        assert_eq!(
            matches!(verdict, Ok(Verdict::Good(_))),
            again,
            "{verdict:?}"
        );
        if !again {
            // It waits for the second.
            assert!(asked.try_lock().is_err());
            continue;
        }
        let asked = asked.lock().await.clone();
        let at = asked
            .windows(5)
            .position(|window| window == b"POST ")
            .expect("a second");
        let (get, post) = asked.split_at(at);
        question(get, "/ocsp/");
        assert!(post.starts_with(b"POST /ocsp HTTP/1.1\r\n"));
        let head = String::from_utf8_lossy(post);
        assert!(head.contains("content-type: application/ocsp-request\r\n"));
    }
}

#[tokio::test]
async fn what_does_not_fit_into_an_address_is_posted() {
    let ca = Ca::root("ca");
    for (path, nonce, post) in [("/?a=b", false, "POST /?a=b "), ("/", true, "GET /")] {
        let answer = ok(&Response::new(&ca, 7).der());
        let (verdict, asked) = asked(&ca, vec![answer], path, CertIdHash::Sha256, nonce).await;
        assert!(matches!(verdict, Ok(Verdict::Good(_))), "{verdict:?}");
        let asked = String::from_utf8_lossy(&asked).into_owned();
        assert!(asked.starts_with(post), "{asked}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let ca = Ca::root("ca");
    let list = ca.list(&[]);
    let (port, _) = serve(ok(&list)).await;
    let why = reason(fetched(&ca, leaked(port, "/"), list.len() - 1).await);
    assert_eq!(
        why,
        format!("the answer has more than {} bytes", list.len() - 1)
    );
    // Nor if it does not say how much it is.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(100_000));
    let (port, _) = serve(endless.into_bytes()).await;
    assert_eq!(
        reason(fetched(&ca, leaked(port, "/"), 1000).await),
        "the answer has more than 1000 bytes"
    );
}

#[tokio::test]
async fn redirects_and_failures_are_not_followed() {
    let ca = Ca::root("ca");
    for status in [
        "302 Found\r\nlocation: http://127.0.0.1:1/",
        "404 Not Found",
        "206 Partial Content",
    ] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let (port, _) = serve(answer.into_bytes()).await;
        let why = reason(fetched(&ca, leaked(port, "/"), 1000).await);
        assert!(
            why.starts_with(&format!("the answer is {}", &status[..3])),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_or_is_refused_is_a_failure() {
    let ca = Ca::root("ca");
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this".to_vec();
    let (port, _) = serve(cut).await;
    assert!(fetched(&ca, leaked(port, "/"), 1000).await.is_err());
    let refused = refused_addr().port();
    assert!(fetched(&ca, leaked(refused, "/"), 1000).await.is_err());
}

#[tokio::test]
async fn a_fetch_that_is_dropped_closes_its_connection() {
    use tower::ServiceExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let ca = Ca::root("ca");
    let wish = Wish {
        lists: vec![leaked(port, "/")],
        ..Wish::default()
    };
    let builder = Revocation::of_clients(&provider()).methods([Method::Crl]);
    let fetcher = HttpFetcher::new().map_request(|request: FetchRequest| request);
    let engine = builder
        .fetch_timeout(Duration::from_millis(50))
        .fetcher(fetcher)
        .build();
    let (engine, chain) = (engine.expect("an engine"), ca.chain(7, &wish));
    let silent = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).await.expect("it is closed");
        asked
    };
    let (refusal, asked) = tokio::join!(connect(&engine, &chain), silent);
    assert!(refusal.is_err_and(|refusal| refusal.is_unavailable()));
    assert!(asked.starts_with(b"GET / "));
}
