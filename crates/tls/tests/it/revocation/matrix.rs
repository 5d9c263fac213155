//! What a client makes of a server's certificate and of what is said about it, over real sockets: one table, one row for everything that
//! can be wrong.

use std::{future::pending, time::Duration};

use bartizan_core::{BoxError, find};
use bartizan_testing::ManualClock;
use bartizan_tls::{
    ClientTls, Error, Identity, ListenerTls, Stage, TlsInfo, TrustAnchors,
    revocation::{CrlIndex, FetchRequest, Method, OnUnavailable, Refusal, Revocation, Verdict},
};
use bytes::Bytes;
use der::Encode;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use tower::service_fn;
use x509_ocsp::{CertStatus, OcspResponse};

use super::pki::{Ca, DAY, List, Response, Web, Wish, now, provider};
use crate::support::{acceptor, connector, meet};

const RESPONDER: &str = "http://ca/ocsp";
const LIST: &str = "http://ca/list";
/// The certificate that is asked about.
const SERIAL: u64 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Known to be good.
    Good,
    /// Not known, and let in.
    LetIn,
    Revoked,
    /// Not known, and refused.
    Unavailable,
}
use Expected::{Good, LetIn, Revoked, Unavailable};

/// What is said, and by whom.
#[derive(Default)]
pub(crate) struct Said {
    staple: Option<Vec<u8>>,
    lists: Vec<Vec<u8>>,
    /// The largest list that is taken.
    max_size: Option<usize>,
    web: Option<Web>,
    hangs: bool,
    allow: bool,
}

pub(crate) type Case = (&'static str, Expected, fn(&Ca, &Ca) -> Said);

fn staple(staple: Vec<u8>) -> Said {
    Said {
        staple: Some(staple),
        ..Said::default()
    }
}

fn lists(lists: impl IntoIterator<Item = Vec<u8>>) -> Said {
    Said {
        lists: lists.into_iter().collect(),
        ..Said::default()
    }
}

fn asked(web: Web) -> Said {
    Said {
        web: Some(web),
        ..Said::default()
    }
}

fn refused(response: &OcspResponse) -> Vec<u8> {
    response.to_der().expect("a response")
}

/// The second is a stranger of the same name. The issuer is the first, an intermediate where a row says so.
pub(crate) const CASES: &[Case] = &[
    ("a staple says good", Good, |ca, _| {
        staple(Response::new(ca, SERIAL).der())
    }),
    ("a staple says revoked", Revoked, |ca, _| {
        staple(Response::revoked(ca, SERIAL).der())
    }),
    ("a staple says unknown", Unavailable, |ca, _| {
        staple(
            Response {
                status: CertStatus::unknown(),
                ..Response::new(ca, SERIAL)
            }
            .der(),
        )
    }),
    ("a staple is stale", Unavailable, |ca, _| {
        staple(
            Response {
                from: -2 * DAY,
                until: Some(-DAY),
                ..Response::new(ca, SERIAL)
            }
            .der(),
        )
    }),
    ("a staple is from the future", Unavailable, |ca, _| {
        staple(
            Response {
                from: DAY,
                until: Some(2 * DAY),
                produced: DAY,
                ..Response::new(ca, SERIAL)
            }
            .der(),
        )
    }),
    ("a staple has no end", Unavailable, |ca, _| {
        staple(
            Response {
                until: None,
                ..Response::new(ca, SERIAL)
            }
            .der(),
        )
    }),
    ("a staple is badly signed", Unavailable, |ca, _| {
        let mut staple = Response::new(ca, SERIAL).der();
        // In the signature, which comes last.
        let last = staple.len() - 1;
        staple[last] ^= 1;
        self::staple(staple)
    }),
    ("a staple of a stranger", Unavailable, |_, other| {
        staple(Response::new(other, SERIAL).der())
    }),
    (
        "a staple of a stranger who says revoked",
        Unavailable,
        |_, other| staple(Response::revoked(other, SERIAL).der()),
    ),
    ("a staple by a delegate", Good, |ca, _| {
        let (certificate, key) = ca.delegate(&[ExtendedKeyUsagePurpose::OcspSigning], (-1, 1));
        staple(
            Response {
                key: &key,
                certificates: vec![certificate],
                ..Response::new(ca, SERIAL)
            }
            .der(),
        )
    }),
    (
        "a staple by a delegate without the usage",
        Unavailable,
        |ca, _| {
            let (certificate, key) = ca.delegate(&[ExtendedKeyUsagePurpose::ServerAuth], (-1, 1));
            staple(
                Response {
                    key: &key,
                    certificates: vec![certificate],
                    ..Response::new(ca, SERIAL)
                }
                .der(),
            )
        },
    ),
    (
        "a staple by a delegate of another CA",
        Unavailable,
        |ca, other| {
            let (certificate, key) =
                other.delegate(&[ExtendedKeyUsagePurpose::OcspSigning], (-1, 1));
            staple(
                Response {
                    key: &key,
                    certificates: vec![certificate],
                    ..Response::new(ca, SERIAL)
                }
                .der(),
            )
        },
    ),
    (
        "a staple for another serial number",
        Unavailable,
        |ca, _| staple(Response::new(ca, SERIAL + 1).der()),
    ),
    ("a staple that is truncated", Unavailable, |ca, _| {
        let mut staple = Response::new(ca, SERIAL).der();
        staple.truncate(staple.len() / 2);
        self::staple(staple)
    }),
    ("a staple that says tryLater", Unavailable, |_, _| {
        staple(refused(&OcspResponse::try_later()))
    }),
    ("a staple that is not there", Unavailable, |_, _| {
        Said::default()
    }),
    (
        "a staple that is not there, and need not be",
        LetIn,
        |_, _| Said {
            allow: true,
            ..Said::default()
        },
    ),
    (
        "a staple says revoked, and the policy is lenient",
        Revoked,
        |ca, _| Said {
            allow: true,
            ..staple(Response::revoked(ca, SERIAL).der())
        },
    ),
    ("a list without it", Good, |ca, _| lists([ca.list(&[])])),
    ("a list with it", Revoked, |ca, _| {
        lists([ca.list(&[SERIAL])])
    }),
    ("an old list before a new one", Revoked, |ca, _| {
        lists([
            ca.list_of(&List::new(1, &[])),
            ca.list_of(&List::new(2, &[SERIAL])),
        ])
    }),
    ("an old list after a new one", Revoked, |ca, _| {
        lists([
            ca.list_of(&List::new(2, &[SERIAL])),
            ca.list_of(&List::new(1, &[])),
        ])
    }),
    ("an expired list without it", Unavailable, |ca, _| {
        lists([ca.list_of(&List {
            from: -2 * DAY,
            until: -DAY,
            ..List::new(1, &[])
        })])
    }),
    ("an expired list with it", Revoked, |ca, _| {
        lists([ca.list_of(&List {
            from: -2 * DAY,
            until: -DAY,
            ..List::new(1, &[SERIAL])
        })])
    }),
    ("a list from the future", Unavailable, |ca, _| {
        lists([ca.list_of(&List {
            from: DAY,
            until: 2 * DAY,
            ..List::new(1, &[])
        })])
    }),
    ("a list of a stranger", Unavailable, |_, other| {
        lists([other.list(&[])])
    }),
    (
        "a list of a stranger beside a good one",
        Good,
        |ca, other| lists([other.list_of(&List::new(9, &[SERIAL])), ca.list(&[])]),
    ),
    (
        "a list that is not supported beside a good one",
        Good,
        |ca, _| {
            // Of version 3, which there is not.
            lists([ca.raw_list(&[2], true, &[], &[]), ca.list(&[])])
        },
    ),
    ("a list that is too large", Unavailable, |ca, _| Said {
        max_size: Some(100),
        ..lists([ca.list(&[])])
    }),
    ("the responder says good", Good, |ca, _| {
        asked(Web::of(Response::new(ca, SERIAL).der()))
    }),
    ("the responder says revoked", Revoked, |ca, _| {
        asked(Web::of(Response::revoked(ca, SERIAL).der()))
    }),
    ("the responder says tryLater", Unavailable, |_, _| {
        asked(Web::of(refused(&OcspResponse::try_later())))
    }),
    ("the responder is down", Unavailable, |_, _| {
        asked(Web::down())
    }),
    (
        "the responder is down, and the policy is lenient",
        LetIn,
        |_, _| Said {
            allow: true,
            ..asked(Web::down())
        },
    ),
    ("the responder hangs", Unavailable, |_, _| Said {
        hangs: true,
        ..Said::default()
    }),
    (
        "the responder hangs, and the policy is lenient",
        LetIn,
        |_, _| Said {
            hangs: true,
            allow: true,
            ..Said::default()
        },
    ),
    ("a list is fetched that has no end", Unavailable, |_, _| {
        asked(Web::new(|request: &FetchRequest| match request.method {
            Method::Crl => Ok(vec![0x30; request.max_size + 1]),
            _ => Err("it is down".into()),
        }))
    }),
    (
        "the responder is down, and the list has it",
        Revoked,
        |ca, _| {
            let list = ca.list(&[SERIAL]);
            asked(Web::new(move |request: &FetchRequest| {
                match request.method {
                    Method::Crl => Ok(list.clone()),
                    _ => Err("it is down".into()),
                }
            }))
        },
    ),
    (
        "the staple says revoked while the list is good",
        Revoked,
        |ca, _| Said {
            staple: Some(Response::revoked(ca, SERIAL).der()),
            ..lists([ca.list(&[])])
        },
    ),
    (
        "the list has it while the staple is good",
        Revoked,
        |ca, _| Said {
            staple: Some(Response::new(ca, SERIAL).der()),
            ..lists([ca.list(&[SERIAL])])
        },
    ),
];

/// The two ends of a case.
pub(crate) struct Judge {
    /// What the server shows, in DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// In PEM.
    pub(crate) key: String,
    pub(crate) staple: Option<Vec<u8>>,
    pub(crate) client: ClientTls,
}

impl Judge {
    pub(crate) fn of((_, _, case): &Case) -> Self {
        let (ca, other) = (Ca::root("ca"), Ca::root("ca"));
        let said = case(&ca, &other);
        let wish = Wish {
            responder: Some(RESPONDER),
            lists: vec![LIST],
            ..Wish::default()
        };
        let mut index = CrlIndex::new(&provider()).with_clock(ManualClock::at(now()));
        if let Some(max_size) = said.max_size {
            index = index.with_max_size(max_size);
        }
        index.add_issuers([&ca.der]).expect("a certificate");
        for list in said.lists {
            index.add(list);
        }
        let mut builder = Revocation::of_servers(&provider())
            .crls(index)
            .fetch_timeout(Duration::from_millis(50));
        if said.allow {
            builder = builder.on_unavailable(OnUnavailable::Allow);
        } else {
            builder = builder.on_unavailable(OnUnavailable::Reject);
        }
        builder = match (said.web, said.hangs) {
            (Some(web), _) => builder.methods([Method::Ocsp, Method::Crl]).fetcher(web),
            (None, true) => {
                builder
                    .methods([Method::Ocsp])
                    .fetcher(service_fn(|_: FetchRequest| {
                        pending::<Result<Bytes, BoxError>>()
                    }))
            }
            (None, false) => builder
                .methods([Method::Staple, Method::Crl])
                .fetcher(Web::down()),
        };
        let engine = builder.build().expect("an engine");
        let anchors = TrustAnchors::from_der([ca.der.clone()]).expect("a root");
        let client = ClientTls::new(provider(), anchors).clock(ManualClock::at(now()));
        let (leaf, key) = ca.leaf_and_key(SERIAL, &wish);
        Self {
            chain: vec![leaf, ca.der.clone()],
            key: key.serialize_pem(),
            staple: said.staple,
            client: client.revocation(engine),
        }
    }
}

/// What the client came to.
pub(crate) fn found(name: &str, info: &Result<TlsInfo, BoxError>) -> Expected {
    match info {
        Ok(info) => match info.revocation() {
            Verdict::Good(_) => Good,
            _ => LetIn,
        },
        Err(error) => {
            let error = find::<Error>(&**error).unwrap_or_else(|| panic!("{name}: {error:?}"));
            assert_eq!(error.stage(), Stage::Revocation, "{name}: {error:?}");
            let refusal = find::<Refusal>(error).expect("the engine's refusal");
            assert_eq!(error.is_retryable(), refusal.is_unavailable(), "{name}");
            if refusal.is_revoked() {
                Revoked
            } else {
                Unavailable
            }
        }
    }
}

#[tokio::test]
async fn every_case_is_judged_as_it_should_be() {
    let mut wrong = Vec::new();
    for case in CASES {
        let (name, expected, _) = case;
        let judge = Judge::of(case);
        let key = KeyPair::from_pem(&judge.key).expect("a key");
        let identity = Identity::from_der(&provider(), judge.chain, key.serialized_der());
        let identity = identity.expect("an identity");
        identity.set_staple(judge.staple);
        let listener = ListenerTls::new(provider())
            .identity(identity)
            .clock(ManualClock::at(now()));
        let met = meet(&connector(judge.client), &acceptor(listener), "a.test").await;
        let found = found(name, &met.client);
        if found != *expected {
            wrong.push(format!(
                "{name}: {found:?}, not {expected:?}: {:?}",
                met.client
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
