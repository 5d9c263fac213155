//! What a client makes of the certificates of servers: one table, one row for everything that can be wrong.

use bartizan_tls::{Identity, Stage, Verification};
use rcgen::{
    BasicConstraints, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, SanType,
};

use crate::support::{
    Authority, Leaf, acceptor, chain, client_tls, connector, day, listener_tls, meet, provider,
    self_signed,
};

/// A case: whom the client asks for, and what the server shows. The client trusts `root`.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) asks: &'static str,
    pub(crate) shows: fn(root: &Authority) -> Leaf,
    pub(crate) expected: Expected,
}

pub(crate) enum Expected {
    Accepted,
    /// Refused: by this alert, and for this reason somewhere in the chain of errors.
    Refused(u8, &'static str),
}
use Expected::{Accepted, Refused};

const BAD_CERTIFICATE: u8 = 42;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const CERTIFICATE_EXPIRED: u8 = 45;
const CERTIFICATE_UNKNOWN: u8 = 46;
const UNKNOWN_CA: u8 = 48;
const DECRYPT_ERROR: u8 = 51;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a good one",
        asks: "a.test",
        shows: |root| root.server(&["a.test"], |_| {}),
        expected: Accepted,
    },
    Case {
        name: "a good one below an intermediate",
        asks: "a.test",
        shows: |root| {
            let intermediate = root.intermediate("sub", |_| {});
            intermediate.server(&["a.test"], |_| {}).with(&intermediate)
        },
        expected: Accepted,
    },
    Case {
        name: "expired",
        asks: "a.test",
        shows: |root| root.server(&["a.test"], |p| p.not_after = day(-1)),
        expected: Refused(CERTIFICATE_EXPIRED, "has expired"),
    },
    Case {
        name: "not yet valid",
        asks: "a.test",
        shows: |root| root.server(&["a.test"], |p| p.not_before = day(1)),
        expected: Refused(CERTIFICATE_EXPIRED, "not valid yet"),
    },
    Case {
        name: "expired intermediate",
        asks: "a.test",
        shows: |root| {
            let intermediate = root.intermediate("sub", |p| p.not_after = day(-1));
            intermediate.server(&["a.test"], |_| {}).with(&intermediate)
        },
        expected: Refused(CERTIFICATE_EXPIRED, "has expired"),
    },
    Case {
        name: "wrong host",
        asks: "b.test",
        shows: |root| root.server(&["a.test"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "the host in the common name only",
        asks: "a.test",
        shows: |root| {
            root.server(&[], |p| {
                p.distinguished_name.push(DnType::CommonName, "a.test");
            })
        },
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "self-signed",
        asks: "a.test",
        shows: |_| self_signed("a.test"),
        expected: Refused(UNKNOWN_CA, "no trust anchor"),
    },
    Case {
        name: "untrusted root",
        asks: "a.test",
        shows: |_| Authority::root("other").server(&["a.test"], |_| {}),
        expected: Refused(UNKNOWN_CA, "no trust anchor"),
    },
    Case {
        name: "missing intermediate",
        asks: "a.test",
        shows: |root| root.intermediate("sub", |_| {}).server(&["a.test"], |_| {}),
        expected: Refused(UNKNOWN_CA, "have the peer send the intermediates"),
    },
    Case {
        name: "an issuer of the same name, with another key",
        asks: "a.test",
        shows: |_| Authority::root("root").server(&["a.test"], |_| {}),
        expected: Refused(DECRYPT_ERROR, "not by their issuer"),
    },
    Case {
        name: "for clients only",
        asks: "a.test",
        shows: |root| root.client(&["a.test"], |_| {}),
        expected: Refused(UNSUPPORTED_CERTIFICATE, "another purpose"),
    },
    Case {
        name: "an intermediate for clients only",
        asks: "a.test",
        shows: |root| {
            let intermediate = root.intermediate("sub", |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            });
            intermediate.server(&["a.test"], |_| {}).with(&intermediate)
        },
        expected: Refused(UNSUPPORTED_CERTIFICATE, "another purpose"),
    },
    Case {
        name: "a CA as leaf",
        asks: "a.test",
        shows: |root| {
            root.server(&["a.test"], |p| {
                p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            })
        },
        expected: Refused(CERTIFICATE_UNKNOWN, "CaUsedAsEndEntity"),
    },
    Case {
        name: "a leaf as CA",
        asks: "a.test",
        shows: |root| {
            let leaf = root.intermediate("sub", |p| p.is_ca = IsCa::ExplicitNoCa);
            leaf.server(&["a.test"], |_| {}).with(&leaf)
        },
        expected: Refused(CERTIFICATE_UNKNOWN, "EndEntityUsedAsCa"),
    },
    Case {
        name: "an intermediate without keyCertSign",
        asks: "a.test",
        shows: |root| {
            let intermediate =
                root.intermediate("sub", |p| p.key_usages = vec![KeyUsagePurpose::CrlSign]);
            intermediate.server(&["a.test"], |_| {}).with(&intermediate)
        },
        expected: Refused(
            CERTIFICATE_UNKNOWN,
            "intermediate 1's key usage lacks keyCertSign",
        ),
    },
    Case {
        name: "an intermediate without any key usage",
        asks: "a.test",
        shows: |root| {
            let intermediate = root.intermediate("sub", |p| p.key_usages = Vec::new());
            intermediate.server(&["a.test"], |_| {}).with(&intermediate)
        },
        expected: Accepted,
    },
    Case {
        name: "a leaf without digitalSignature",
        asks: "a.test",
        shows: |root| {
            root.server(&["a.test"], |p| {
                p.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
            })
        },
        expected: Refused(
            CERTIFICATE_UNKNOWN,
            "the leaf's key usage lacks digitalSignature",
        ),
    },
    Case {
        // The critical one is in a table of what OpenSSL shows.
        name: "an unknown extension",
        asks: "a.test",
        shows: |root| root.server(&["a.test"], |p| p.custom_extensions.push(unknown(false))),
        expected: Accepted,
    },
    Case {
        name: "a wildcard for one label",
        asks: "b.a.test",
        shows: |root| root.server(&["*.a.test"], |_| {}),
        expected: Accepted,
    },
    Case {
        name: "a wildcard for two labels",
        asks: "c.b.a.test",
        shows: |root| root.server(&["*.a.test"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "a wildcard for no label",
        asks: "a.test",
        shows: |root| root.server(&["*.a.test"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "a wildcard for a part of a label",
        asks: "bc.a.test",
        shows: |root| root.server(&["b*.a.test"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "a wildcard in the middle",
        asks: "a.b.test",
        shows: |root| root.server(&["a.*.test"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "within the name constraints of its issuer",
        asks: "x.a.test",
        shows: |root| constrained(root, "x.a.test"),
        expected: Accepted,
    },
    Case {
        name: "outside the name constraints of its issuer",
        asks: "b.test",
        shows: |root| constrained(root, "b.test"),
        expected: Refused(CERTIFICATE_UNKNOWN, "NameConstraintViolation"),
    },
    Case {
        name: "a path as long as allowed",
        asks: "a.test",
        shows: |root| long_path(root, 1),
        expected: Accepted,
    },
    Case {
        name: "a path longer than allowed",
        asks: "a.test",
        shows: |root| long_path(root, 0),
        expected: Refused(CERTIFICATE_UNKNOWN, "PathLenConstraintViolated"),
    },
    Case {
        name: "an IPv4 address",
        asks: "127.0.0.1",
        shows: |root| root.server(&["127.0.0.1"], |_| {}),
        expected: Accepted,
    },
    Case {
        name: "an IPv6 address",
        asks: "::1",
        shows: |root| root.server(&["::1"], |_| {}),
        expected: Accepted,
    },
    Case {
        name: "another address",
        asks: "127.0.0.1",
        shows: |root| root.server(&["127.0.0.2"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "an address as a host name",
        asks: "127.0.0.1",
        shows: |root| {
            root.server(&[], |p| {
                p.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
            })
        },
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
    Case {
        name: "a host name for the address of it",
        asks: "127.0.0.1",
        shows: |root| root.server(&["localhost"], |_| {}),
        expected: Refused(BAD_CERTIFICATE, "another name"),
    },
];

pub(crate) fn unknown(critical: bool) -> CustomExtension {
    // NULL, in an arc that is anybody's.
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
    extension.set_criticality(critical);
    extension
}

fn constrained(root: &Authority, name: &str) -> Leaf {
    let intermediate = root.intermediate("sub", |p| {
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("a.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    intermediate.server(&[name], |_| {}).with(&intermediate)
}

fn long_path(root: &Authority, allowed: u8) -> Leaf {
    let upper = root.intermediate("upper", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(allowed));
    });
    let lower = upper.intermediate("lower", |_| {});
    lower.server(&["a.test"], |_| {}).with(&lower).with(&upper)
}

/// The same over both versions: what is verified must not depend on it.
#[tokio::test]
async fn every_case_is_judged_as_it_should_be() {
    use bartizan_tls::TlsVersion::{V1_2, V1_3};

    let root = Authority::root("root");
    let mut wrong = Vec::new();
    for version in [V1_2, V1_3] {
        for case in CASES {
            let client = connector(client_tls(&root).versions(version, version));
            let listener = acceptor(listener_tls(&(case.shows)(&root)));
            let met = meet(&client, &listener, case.asks).await;
            let judged = match (&case.expected, &met.client) {
                (Accepted, Ok(info)) => {
                    info.verification() == Verification::Full && info.version() == version
                }
                (Refused(alert, reason), Err(_)) => {
                    let error = met.client_error();
                    error.stage() == Stage::Verify
                        && error.is_certificate()
                        && !error.is_retryable()
                        && error.peer() == Some(case.asks)
                        && chain(error).contains(reason)
                        && met.listener_error().alert() == Some(*alert)
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

/// So a listener cannot show one. That it is refused by a client is a row of `openssl::tables`.
#[test]
fn an_identity_with_an_unknown_critical_extension_is_refused() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |p| p.custom_extensions.push(unknown(true)));
    let error = Identity::from_pem(
        &provider(),
        leaf.pem.as_bytes(),
        leaf.key.serialize_pem().as_bytes(),
    );
    assert!(chain(&error.unwrap_err()).contains("UnsupportedCriticalExtension"));
}

#[tokio::test]
async fn what_is_dangerous_is_seen() {
    let root = Authority::root("root");
    let elsewhere = listener_tls(&root.server(&["a.test"], |_| {}));
    let stranger = listener_tls(&self_signed("a.test"));
    let any_name = connector(bartizan_tls::dangerous::any_name(client_tls(&root)));
    let any_certificate = connector(bartizan_tls::dangerous::any_certificate(client_tls(&root)));

    let (info, _) = meet(&any_name, &acceptor(elsewhere), "b.test").await.both();
    assert_eq!(info.verification(), Verification::PathOnly);
    // It lifts one check, not all.
    let met = meet(&any_name, &acceptor(stranger.clone()), "a.test").await;
    assert!(met.client_error().is_certificate());

    let (info, _) = meet(&any_certificate, &acceptor(stranger), "b.test")
        .await
        .both();
    assert_eq!(info.verification(), Verification::Nothing);
}

#[tokio::test]
async fn a_name_may_be_another_than_the_address() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let client = connector(client_tls(&root).server_name("a.test"));
    let (client, listener) = meet(&client, &listener, "b.test").await.both();
    assert_eq!(client.server_name(), Some("a.test"));
    assert_eq!(listener.server_name(), Some("a.test"));
}

#[tokio::test]
async fn an_address_is_not_sent_as_a_name_and_a_name_need_not_be() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["127.0.0.1", "a.test"], |_| {})));
    let (_, info) = meet(&connector(client_tls(&root)), &listener, "127.0.0.1")
        .await
        .both();
    assert_eq!(info.server_name(), None);
    let quiet = connector(client_tls(&root).sni(false));
    let (client, info) = meet(&quiet, &listener, "a.test").await.both();
    assert_eq!(info.server_name(), None);
    assert_eq!(client.server_name(), Some("a.test"));
}

#[test]
fn roots_join() {
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let pem = format!("{}{}", one.pem, two.pem);
    let read = bartizan_tls::TrustAnchors::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(one.anchors().and(two.anchors()).len(), 2);
}
