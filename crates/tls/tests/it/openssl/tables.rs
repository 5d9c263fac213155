//! The tables of what our own ends are tested by, with OpenSSL at the other.

use bartizan_core::find;
use bartizan_tls::{ClientAuth, Error, Stage, TlsVersion, Verification};

use super::{Files, s_client, s_server, serve, words};
use crate::{
    mutual,
    revocation::matrix,
    server_certificates::{self, Expected, unknown},
    support::{Authority, Leaf, acceptor, chain, client_tls, connect, connector, listener_tls},
};

const VERSIONS: [(&str, TlsVersion); 2] =
    [("-tls1_2", TlsVersion::V1_2), ("-tls1_3", TlsVersion::V1_3)];

/// What a server of ours cannot show: no identity is one.
const CRITICAL: server_certificates::Case = server_certificates::Case {
    name: "an unknown critical extension",
    asks: "a.test",
    shows: |root: &Authority| -> Leaf {
        root.server(&["a.test"], |p| p.custom_extensions.push(unknown(true)))
    },
    expected: Expected::Refused(43, "UnhandledCriticalExtension"),
};

#[tokio::test]
async fn certificates_that_s_server_shows_are_judged_as_they_should_be() {
    let root = Authority::root("root");
    let mut wrong = Vec::new();
    for (option, version) in VERSIONS {
        let client = connector(client_tls(&root));
        for case in server_certificates::CASES.iter().chain([&CRITICAL]) {
            // It keeps to this one by itself: a key that may not sign has no suite of TLS 1.2.
            if case.name == "a leaf without digitalSignature" && version == TlsVersion::V1_2 {
                continue;
            }
            let Some(server) = s_server(&(case.shows)(&root), option).await else {
                return;
            };
            let connected = connect(&client, server.addr, case.asks).await;
            let judged = match (&case.expected, &connected) {
                (Expected::Accepted, Ok(stream)) => stream.tls_info().is_some_and(|info| {
                    info.verification() == Verification::Full && info.version() == version
                }),
                (Expected::Refused(_, reason), Err(error)) => {
                    find::<Error>(&**error).is_some_and(|error| {
                        error.stage() == Stage::Verify
                            && error.is_certificate()
                            && !error.is_retryable()
                            && error.peer() == Some(case.asks)
                            && chain(error).contains(reason)
                    })
                }
                _ => false,
            };
            if !judged {
                let connected = connected.map_err(|error| chain(&*error));
                wrong.push(format!("{version}, {}: {connected:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn certificates_that_s_client_shows_are_judged_as_they_should_be() {
    let root = Authority::root("root");
    let listener = acceptor(
        listener_tls(&root.server(&["a.test"], |_| {}))
            .client_auth(ClientAuth::Required(root.anchors())),
    );
    let mut wrong = Vec::new();
    for (option, version) in VERSIONS {
        for case in mutual::CASES {
            let files = Files::new();
            let mut options = words(option);
            if let Some(leaf) = (case.shows)(&root) {
                options.extend(files.leaf(&leaf));
            }
            let Some(met) = s_client(&options, &listener).await else {
                return;
            };
            let judged = match (case.alert, &met.listener) {
                (None, Ok(info)) => {
                    info.verification() == Verification::Full && info.version() == version
                }
                (Some(_), Err(error)) => error.stage() == Stage::Verify && error.is_certificate(),
                _ => false,
            };
            if !judged {
                let listener = met.listener.as_ref().map_err(|error| chain(error));
                wrong.push(format!("{version}, {}: {listener:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_said_of_the_certificate_of_s_server_is_judged_as_it_should_be() {
    let mut wrong = Vec::new();
    for case in matrix::CASES {
        let (name, expected, _) = case;
        // It reads what it staples. `openssl::revocation` has one that is cut within.
        if *name == "a staple that is truncated" {
            continue;
        }
        let judge = matrix::Judge::of(case);
        let files = Files::new();
        let mut options = files.shown(&judge.chain, &judge.key);
        if let Some(staple) = &judge.staple {
            options.extend(["-status_file".into(), files.write("staple", staple)]);
        }
        let Some(server) = serve("s_server -accept 127.0.0.1:0", &options, files).await else {
            return;
        };
        let connected = connect(&connector(judge.client), server.addr, "a.test").await;
        let info = connected.map(|stream| stream.tls_info().expect("TLS").clone());
        let found = matrix::found(name, &info);
        if found != *expected {
            wrong.push(format!("{name}: {found:?}, not {expected:?}: {info:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
