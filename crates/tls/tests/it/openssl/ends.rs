//! What OpenSSL speaks, and what it makes of us.

use std::time::UNIX_EPOCH;

use bartizan_tls::{ClientAuth, Error, Identity, ListenerTls, Stage, TlsVersion};
use tokio::net::TcpListener;
use tower::Service;

use super::{Files, openssl, s_client, s_server, words};
use crate::support::{
    Authority, acceptor, bind, chain, client_tls, clock, connect, connector, listener_tls, now,
    provider,
};

#[tokio::test]
async fn openssl_verifies_our_chain_and_speaks_both_versions() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("sub", |_| {});
    let leaf = intermediate.server(&["a.test"], |_| {}).with(&intermediate);
    let listener = acceptor(listener_tls(&leaf));
    let files = Files::new();
    let time = now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (option, version) in [("-tls1_2", TlsVersion::V1_2), ("-tls1_3", TlsVersion::V1_3)] {
        let mut options = words(&format!(
            "{option} -servername a.test -verify_hostname a.test -verify_return_error -alpn h2 -attime {time}"
        ));
        options.extend(["-CAfile".into(), files.write("root.pem", &root.pem)]);
        let Some(met) = s_client(&options, &listener).await else {
            return;
        };
        let info = met.listener.as_ref().unwrap();
        assert_eq!(info.version(), version);
        assert_eq!(info.alpn(), Some(&b"h2"[..]));
        assert_eq!(info.server_name(), Some("a.test"));
        assert!(
            met.told().contains("Verify return code: 0"),
            "{}",
            met.told()
        );
    }
}

#[tokio::test]
async fn a_client_with_nothing_but_what_is_broken_is_refused() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    for options in [
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-tls1_2 -cipher eNULL:@SECLEVEL=0",
        "-tls1_2 -cipher 3DES:@SECLEVEL=0",
        "-tls1_2 -cipher RC4:@SECLEVEL=0",
        // No forward secrecy.
        "-tls1_2 -cipher kRSA:@SECLEVEL=0",
        "-tls1_2 -cipher AES128-SHA:@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0",
        // A group that we do not have.
        "-tls1_3 -curves X448",
    ] {
        let Some(met) = s_client(&words(options), &listener).await else {
            continue;
        };
        let error = met.listener.as_ref().expect_err(options);
        // What is older than 1.2 has a first message that cannot be read.
        let stages = [Stage::Hello, Stage::Handshake];
        assert!(
            stages.contains(&error.stage()),
            "{options}: {}",
            chain(error)
        );
        assert!(
            !error.is_retryable() && !error.is_certificate(),
            "{options}"
        );
        assert!(met.told().contains("alert"), "{options}: {}", met.told());
    }
}

#[tokio::test]
async fn an_application_protocol_that_is_not_ours_is_refused() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let Some(met) = s_client(&words("-alpn spdy/3"), &listener).await else {
        return;
    };
    assert!(met.listener.is_err());
    assert!(
        met.told().contains("no application protocol"),
        "{}",
        met.told()
    );
}

#[tokio::test]
async fn a_name_that_is_not_known_is_refused() {
    let root = Authority::root("root");
    let identity = root.server(&["a.test"], |_| {}).identity();
    let settings = ListenerTls::new(provider()).identity_for("a.test", identity);
    let listener = acceptor(settings.clock(clock()));
    for (options, is_known) in [
        ("-servername a.test", true),
        ("-servername b.test", false),
        ("-noservername", false),
    ] {
        let Some(met) = s_client(&words(options), &listener).await else {
            return;
        };
        assert_eq!(met.listener.is_ok(), is_known, "{options}");
        assert_eq!(met.told().contains("alert access denied"), !is_known);
    }
}

#[tokio::test]
async fn client_certificates_of_openssl_are_verified() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let listener = acceptor(
        listener_tls(&root.server(&["a.test"], |_| {}))
            .client_auth(ClientAuth::Required(root.anchors())),
    );
    for (authority, good) in [(&root, true), (&other, false)] {
        let files = Files::new();
        let options = files.leaf(&authority.client(&["c.test"], |_| {}));
        let Some(met) = s_client(&options, &listener).await else {
            return;
        };
        match &met.listener {
            Ok(info) => assert!(good, "{info:?}"),
            Err(error) => assert!(!good && error.is_certificate(), "{}", chain(error)),
        }
    }
}

#[tokio::test]
async fn servers_of_openssl_are_verified() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let client = connector(client_tls(&root));
    for version in ["-tls1_2", "-tls1_3"] {
        let leaf = root.server(&["a.test"], |_| {});
        let Some(server) = s_server(&leaf, &format!("{version} -alpn h2")).await else {
            return;
        };
        let stream = connect(&client, server.addr, "a.test").await.unwrap();
        assert_eq!(stream.alpn(), Some(&b"h2"[..]));
        // It serves one at a time.
        drop(stream);
        let error = connect(&client, server.addr, "b.test").await.unwrap_err();
        assert!(
            error.to_string().contains("another name"),
            "{}",
            chain(&*error)
        );

        let leaf = other.server(&["a.test"], |_| {});
        let server = s_server(&leaf, version).await.unwrap();
        let error = connect(&client, server.addr, "a.test").await.unwrap_err();
        assert!(
            error.to_string().contains("no trust anchor"),
            "{}",
            chain(&*error)
        );
    }
}

#[tokio::test]
async fn a_server_with_nothing_but_what_is_broken_is_refused() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let client = connector(client_tls(&root));
    for options in [
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-tls1_2 -cipher eNULL:@SECLEVEL=0",
        "-tls1_2 -cipher 3DES:@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0",
        "-tls1_3 -alpn spdy/3",
    ] {
        let Some(server) = s_server(&leaf, options).await else {
            continue;
        };
        let error = connect(&client, server.addr, "a.test")
            .await
            .expect_err(options);
        let error = bartizan_core::find::<Error>(&*error).unwrap();
        assert_eq!(
            error.stage(),
            Stage::Handshake,
            "{options}: {}",
            chain(error)
        );
        assert!(
            !error.is_retryable() && !error.is_certificate(),
            "{options}"
        );
    }
}

/// rcgen makes none that is signed by SHA-1.
#[tokio::test]
async fn a_certificate_signed_by_sha_1_is_refused() {
    let files = Files::new();
    let extensions = files.write(
        "ext",
        "subjectAltName=DNS:a.test\nkeyUsage=digitalSignature\n",
    );
    let (ca, ca_key, csr) = (files.path("ca"), files.path("ca.key"), files.path("csr"));
    let (leaf, key) = (files.path("leaf"), files.path("leaf.key"));
    for command in [
        format!(
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=root -days 2 -keyout {ca_key} -out {ca}"
        ),
        format!("req -newkey rsa:2048 -nodes -subj /CN=leaf -keyout {key} -out {csr}"),
        format!(
            "x509 -req -sha1 -in {csr} -CA {ca} -CAkey {ca_key} -set_serial 1 -days 1 -extfile {extensions} -out {leaf}"
        ),
    ] {
        let Some(mut openssl) = openssl() else {
            return;
        };
        let made = openssl.args(words(&command)).output().await.unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    let root = bartizan_tls::TrustAnchors::from_pem_file(&ca).unwrap();
    let identity = Identity::from_pem_files(&provider(), &leaf, &key).unwrap();
    let mut listener = acceptor(ListenerTls::new(provider()).identity(identity));
    // By the clock of openssl.
    let client = connector(bartizan_tls::ClientTls::new(provider(), root));
    let (socket, addr): (TcpListener, _) = bind().await;
    let (connected, _) = tokio::join!(connect(&client, addr, "a.test"), async {
        let (io, _) = socket.accept().await.unwrap();
        listener.call(io).await
    });
    let error = connected.unwrap_err();
    let error = bartizan_core::find::<Error>(&*error).unwrap();
    assert_eq!(error.stage(), Stage::Verify, "{}", chain(error));
    assert!(error.to_string().contains("SHA-1"), "{}", chain(error));
}
