//! What a listener makes of the certificates of clients.

use bartizan_tls::{ClientAuth, PeerName, Stage, TlsVersion, Verification};
use rcgen::{KeyUsagePurpose, SanType};

use crate::support::{
    Authority, Leaf, acceptor, chain, client_tls, connector, day, listener_tls, meet, self_signed,
};

/// What a client shows, and by which alert it is refused: `None` if it is let in.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) shows: fn(root: &Authority) -> Option<Leaf>,
    pub(crate) alert: Option<u8>,
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a good one",
        shows: |root| Some(root.client(&["c.test"], |_| {})),
        alert: None,
    },
    Case {
        name: "a good one below an intermediate",
        shows: |root| {
            let intermediate = root.intermediate("sub", |_| {});
            Some(intermediate.client(&["c.test"], |_| {}).with(&intermediate))
        },
        alert: None,
    },
    Case {
        name: "none",
        shows: |_| None,
        alert: Some(116),
    },
    Case {
        name: "of another CA",
        shows: |_| Some(Authority::root("other").client(&["c.test"], |_| {})),
        alert: Some(48),
    },
    Case {
        name: "self-signed",
        shows: |_| Some(self_signed("c.test")),
        alert: Some(48),
    },
    Case {
        name: "expired",
        shows: |root| Some(root.client(&["c.test"], |p| p.not_after = day(-1))),
        alert: Some(45),
    },
    Case {
        name: "not yet valid",
        shows: |root| Some(root.client(&["c.test"], |p| p.not_before = day(1))),
        alert: Some(45),
    },
    Case {
        name: "for servers only",
        shows: |root| Some(root.server(&["c.test"], |_| {})),
        alert: Some(43),
    },
    Case {
        name: "that must not sign",
        shows: |root| {
            Some(root.client(&["c.test"], |p| {
                p.key_usages = vec![KeyUsagePurpose::KeyAgreement];
            }))
        },
        alert: Some(46),
    },
];

#[tokio::test]
async fn every_case_is_judged_as_it_should_be() {
    let root = Authority::root("root");
    let server = root.server(&["a.test"], |_| {});
    let listener =
        acceptor(listener_tls(&server).client_auth(ClientAuth::Required(root.anchors())));
    let mut wrong = Vec::new();
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        for case in CASES {
            let mut settings = client_tls(&root).versions(version, version);
            if let Some(leaf) = (case.shows)(&root) {
                settings = settings.identity(leaf.identity());
            }
            let met = meet(&connector(settings), &listener, "a.test").await;
            let judged = match (case.alert, &met.listener) {
                (None, Ok(info)) => info.verification() == Verification::Full,
                (Some(alert), Err(error)) => {
                    // Over TLS 1.3 it comes with the first read.
                    let told = met.client.as_ref().map_err(|error| chain(&**error));
                    error.stage() == Stage::Verify
                        && error.is_certificate()
                        && told.is_err_and(|told| told.contains(alert_name(alert)))
                }
                _ => false,
            };
            if !judged {
                let client = met.client.as_ref().map_err(|error| chain(&**error));
                let listener = met.listener.as_ref().map_err(|error| chain(error));
                wrong.push(format!(
                    "{version}, {}: {client:?}, {listener:?}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// As rustls writes it.
fn alert_name(alert: u8) -> &'static str {
    match alert {
        43 => "UnsupportedCertificate",
        45 => "CertificateExpired",
        46 => "CertificateUnknown",
        48 => "UnknownCA",
        116 => "CertificateRequired",
        _ => unreachable!("{alert}"),
    }
}

#[tokio::test]
async fn an_optional_certificate_may_be_absent_and_not_wrong() {
    let root = Authority::root("root");
    let server = root.server(&["a.test"], |_| {});
    let listener =
        acceptor(listener_tls(&server).client_auth(ClientAuth::Optional(root.anchors())));

    let without = connector(client_tls(&root));
    let (_, info) = meet(&without, &listener, "a.test").await.both();
    assert_eq!(info.verification(), Verification::NoCertificate);
    assert_eq!(info.peer_certificate(), None);
    assert_eq!(info.peer_fingerprint(), None);

    let stranger = self_signed("c.test").identity();
    let wrong = connector(client_tls(&root).identity(stranger));
    let met = meet(&wrong, &listener, "a.test").await;
    assert!(met.listener_error().is_certificate());
}

#[tokio::test]
async fn a_listener_that_does_not_ask_is_shown_nothing() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let identity = root.client(&["c.test"], |_| {}).identity();
    let client = connector(client_tls(&root).identity(identity));
    let (_, info) = meet(&client, &listener, "a.test").await.both();
    assert_eq!(info.verification(), Verification::NoCertificate);
}

#[tokio::test]
async fn both_ends_know_each_other() {
    let root = Authority::root("root");
    let server = root.server(&["a.test"], |_| {});
    let client = root.client(&[], |p| {
        p.subject_alt_names = vec![
            SanType::URI("spiffe://prod.test/web".try_into().unwrap()),
            SanType::Rfc822Name("ops@prod.test".try_into().unwrap()),
            SanType::DnsName("web.prod.test".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
        ];
    });
    let listener =
        acceptor(listener_tls(&server).client_auth(ClientAuth::Required(root.anchors())));
    let (at_client, at_listener) = meet(
        &connector(client_tls(&root).identity(client.identity())),
        &listener,
        "a.test",
    )
    .await
    .both();

    assert_eq!(
        at_listener.peer_names(),
        [
            PeerName::Uri("spiffe://prod.test/web".into()),
            PeerName::Email("ops@prod.test".into()),
            PeerName::Dns("web.prod.test".into()),
            PeerName::Ip([10, 0, 0, 1].into()),
        ]
    );
    assert_eq!(at_listener.peer_certificate(), Some(&*client.chain[0]));
    assert_eq!(at_client.peer_certificate(), Some(&*server.chain[0]));
    assert_eq!(at_client.peer_names(), [PeerName::Dns("a.test".into())]);
    for info in [&at_client, &at_listener] {
        assert_eq!(info.version(), TlsVersion::V1_3);
        assert_eq!(info.group(), Some("X25519MLKEM768"));
        assert_eq!(info.alpn(), Some(&b"h2"[..]));
        assert_eq!(info.server_name(), Some("a.test"));
        assert!(info.suite().starts_with("TLS_"), "{}", info.suite());
        assert!(!info.is_resumed());
    }
}
