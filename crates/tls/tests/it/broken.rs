//! What is broken, byte by byte: what a build of OpenSSL cannot be talked into any more, such as 3DES.

use bartizan_core::find;
use bartizan_tls::{Error, Stage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::Service;

use crate::support::{
    Authority, acceptor, bind, chain, client_tls, connect, connector, listener_tls,
};

const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// A length in so many bytes, and what has it.
fn vector(bytes: usize, content: &[u8]) -> Vec<u8> {
    [&content.len().to_be_bytes()[8 - bytes..], content].concat()
}

fn record(version: [u8; 2], kind: u8, message: &[u8]) -> Vec<u8> {
    let handshake = [&[kind][..], &vector(3, message)].concat();
    [&[22][..], &version, &vector(2, &handshake)].concat()
}

/// A `ClientHello` as RFC 5246 has it, for these suites, and with everything else as it should be.
fn client_hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let suites = suites.iter().flat_map(|suite| suite.to_be_bytes());
    let suites = suites.collect::<Vec<_>>();
    let extension =
        |kind: u16, content: Vec<u8>| [&kind.to_be_bytes()[..], &vector(2, &content)].concat();
    let extensions = [
        extension(0, vector(2, &[&[0][..], &vector(2, b"a.test")].concat())),
        // secp256r1, x25519
        extension(10, vector(2, &[0, 23, 0, 29])),
        extension(11, vector(1, &[0])),
        // ecdsa_secp256r1_sha256, rsa_pkcs1_sha256
        extension(13, vector(2, &[4, 3, 4, 1])),
        extension(23, Vec::new()),
    ]
    .concat();
    let message = [
        &version[..],
        &[7; 32],
        &vector(1, &[]),
        &vector(2, &suites),
        &vector(1, &[0]),
        &vector(2, &extensions),
    ]
    .concat();
    record([3, 1], 1, &message)
}

/// A `ServerHello` that chooses this, whatever was offered.
fn server_hello(version: [u8; 2], suite: u16) -> Vec<u8> {
    let message = [
        &version[..],
        &[7; 32],
        &vector(1, &[]),
        &suite.to_be_bytes(),
        &[0],
        &vector(2, &[]),
    ]
    .concat();
    record(version, 2, &message)
}

const SUITES: &[(&str, u16)] = &[
    ("TLS_NULL_WITH_NULL_NULL", 0x0000),
    ("TLS_RSA_WITH_NULL_SHA", 0x0002),
    ("TLS_RSA_EXPORT_WITH_RC4_40_MD5", 0x0003),
    ("TLS_RSA_WITH_RC4_128_SHA", 0x0005),
    ("TLS_RSA_WITH_DES_CBC_SHA", 0x0009),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", 0x000a),
    ("TLS_DH_anon_WITH_AES_128_CBC_SHA", 0x0034),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009c),
    ("TLS_ECDHE_ECDSA_WITH_NULL_SHA", 0xc006),
    ("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", 0xc007),
    ("TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA", 0xc008),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xc009),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xc023),
];

/// What a listener says to this first message: the alert, and its error.
async fn told(hello: &[u8]) -> (Option<u8>, Result<(), Error>) {
    let root = Authority::root("root");
    let mut listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let (socket, addr) = bind().await;
    let client = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(hello).await.unwrap();
        let mut answer = [0; 7];
        let whole = stream.read_exact(&mut answer).await.is_ok();
        (whole && answer[0] == 21).then_some(answer[6])
    };
    let listener = async {
        let (io, _) = socket.accept().await.unwrap();
        listener.call(io).await.map(drop)
    };
    tokio::join!(client, listener)
}

#[tokio::test]
async fn a_client_that_offers_only_what_is_broken_is_refused() {
    for (name, suite) in SUITES {
        let (alert, error) = told(&client_hello([3, 3], &[*suite])).await;
        assert_eq!(alert, Some(HANDSHAKE_FAILURE), "{name}");
        let error = error.expect_err(name);
        assert!(!error.is_retryable(), "{name}: {}", chain(&error));
    }
    // The bytes are good: it is the suites that are not.
    let (alert, error) = told(&client_hello([3, 3], &[0xc02b])).await;
    assert_eq!(alert, None);
    assert!(error.expect_err("it goes away").is_retryable());
}

#[tokio::test]
async fn a_client_that_speaks_only_what_is_old_is_refused() {
    for (name, version) in [
        ("SSL 3.0", [3, 0]),
        ("TLS 1.0", [3, 1]),
        ("TLS 1.1", [3, 2]),
    ] {
        let (alert, error) = told(&client_hello(version, &[0xc02b])).await;
        assert_eq!(alert, Some(PROTOCOL_VERSION), "{name}");
        assert!(error.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_server_that_chooses_what_is_broken_or_old_is_refused() {
    let root = Authority::root("root");
    let client = connector(client_tls(&root));
    let suites = SUITES.iter().map(|(name, suite)| (*name, [3, 3], *suite));
    let versions = [
        ("SSL 3.0", [3, 0], 0xc02b),
        ("TLS 1.0", [3, 1], 0xc02b),
        ("TLS 1.1", [3, 2], 0xc02b),
    ];
    for (name, version, suite) in suites.chain(versions) {
        let (socket, addr) = bind().await;
        let server = async {
            let (mut io, _) = socket.accept().await.unwrap();
            let mut hello = [0; 5];
            io.read_exact(&mut hello).await.unwrap();
            let length = u16::from_be_bytes([hello[3], hello[4]]);
            io.read_exact(&mut vec![0; length.into()]).await.unwrap();
            io.write_all(&server_hello(version, suite)).await.unwrap();
            // Its alert, and its end.
            let mut alert = Vec::new();
            io.read_to_end(&mut alert).await.ok();
            alert
        };
        let (met, alert) = tokio::join!(connect(&client, addr, "a.test"), server);
        let error = met.expect_err(name);
        let error = find::<Error>(&*error).expect("ours");
        assert_eq!(error.stage(), Stage::Handshake, "{name}");
        assert!(!error.is_retryable(), "{name}: {}", chain(error));
        assert_eq!(alert.first(), Some(&21), "{name}");
    }
}
