//! OpenSSL as the CA that revokes, as the server that staples, and as the responder: what a client makes of its certificates, and a
//! listener of its clients'.

use std::net::SocketAddr;

use bartizan_core::find;
use bartizan_tls::{
    ClientAuth, ClientTls, Identity, ListenerTls, TrustAnchors,
    revocation::{
        CertIdHash, CrlIndex, FetchRequest, HttpFetcher, Method, Refusal, Revocation, Verdict,
    },
};
use der::{Decode as _, Encode as _, asn1::OctetString};
use tower::ServiceExt as _;
use x509_ocsp::OcspResponse;

use super::{Files, Server, s_client, serve, words};
use crate::{
    revocation::{
        matrix::{
            Expected::{self, Good, Revoked, Unavailable},
            found,
        },
        openssl::OpenSsl,
    },
    support::{acceptor, chain, connect, connector, provider},
};

/// What is said about a certificate of the first CA's.
struct Said {
    /// The certificate that the server shows.
    leaf: &'static str,
    staple: Option<Vec<u8>>,
    lists: Vec<Vec<u8>>,
    /// By what the responder signs, and what it knows.
    responder: Option<&'static str>,
    hash: CertIdHash,
}

type Case = (&'static str, Expected, fn(&OpenSsl, &OpenSsl) -> Said);

const CA: &str = "-rsigner ca.pem -rkey ca.key -ndays 1";
const DELEGATE: &str = "-rsigner delegate.pem -rkey delegate.key -ndays 1";
const LEAF: &str = "-rsigner good.pem -rkey good.key -ndays 1";

const EXPIRED: &str =
    "-crlexts crl_ext -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z";
const FUTURE: &str =
    "-crlexts crl_ext -crl_lastupdate 20990101000000Z -crl_nextupdate 20990201000000Z";

impl Said {
    fn of(leaf: &'static str) -> Self {
        Self {
            leaf,
            staple: None,
            lists: Vec::new(),
            responder: None,
            hash: CertIdHash::Sha1,
        }
    }

    fn lists(leaf: &'static str, lists: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            lists: lists.into_iter().collect(),
            ..Self::of(leaf)
        }
    }

    fn staple(leaf: &'static str, staple: Vec<u8>) -> Self {
        Self {
            staple: Some(staple),
            ..Self::of(leaf)
        }
    }

    fn responder(leaf: &'static str, options: &'static str) -> Self {
        Self {
            responder: Some(options),
            ..Self::of(leaf)
        }
    }
}

impl OpenSsl {
    /// What its responder signs about a certificate, for a server to staple.
    fn staple(&self, leaf: &str, options: &str) -> Vec<u8> {
        self.run(&format!(
            "ocsp -issuer ca.pem -cert {leaf}.pem -no_nonce -reqout staple.req"
        ));
        self.run(&format!(
            "ocsp -index index.txt -CA ca.pem -reqin staple.req -respout staple.der {options}"
        ));
        self.read("staple.der")
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_der([self.der("ca")]).unwrap()
    }
}

const CASES: &[Case] = &[
    ("a list without it", Good, |ca, _| {
        Said::lists("good", [ca.list("-crlexts crl_ext")])
    }),
    ("a list with it", Revoked, |ca, _| {
        Said::lists("bad", [ca.list("-crlexts crl_ext")])
    }),
    ("a list of version 1 with it", Revoked, |ca, _| {
        Said::lists("bad", [ca.list("")])
    }),
    ("a part of a list with it", Revoked, |ca, _| {
        Said::lists("bad", [ca.list("-crlexts crl_point")])
    }),
    ("an old list before a new one", Revoked, |ca, _| {
        let lists = [ca.read("early.pem"), ca.list("-crlexts crl_ext")];
        Said::lists("bad", lists)
    }),
    ("an old list after a new one", Revoked, |ca, _| {
        let lists = [ca.list("-crlexts crl_ext"), ca.read("early.pem")];
        Said::lists("bad", lists)
    }),
    ("an expired list without it", Unavailable, |ca, _| {
        Said::lists("good", [ca.list(EXPIRED)])
    }),
    ("an expired list with it", Revoked, |ca, _| {
        Said::lists("bad", [ca.list(EXPIRED)])
    }),
    ("a list from the future", Unavailable, |ca, _| {
        Said::lists("good", [ca.list(FUTURE)])
    }),
    (
        "a list of a stranger of that name",
        Unavailable,
        |_, other| Said::lists("good", [other.list("-crlexts crl_ext")]),
    ),
    (
        "a list of a stranger beside a good one",
        Good,
        |ca, other| {
            let lists = [other.list("-crlexts crl_ext"), ca.list("-crlexts crl_ext")];
            Said::lists("good", lists)
        },
    ),
    ("a delta", Unavailable, |ca, _| {
        Said::lists("good", [ca.list("-crlexts crl_delta")])
    }),
    ("a delta beside a good list", Good, |ca, _| {
        let lists = [ca.list("-crlexts crl_delta"), ca.list("-crlexts crl_ext")];
        Said::lists("good", lists)
    }),
    ("a staple says good", Good, |ca, _| {
        Said::staple("good", ca.staple("good", CA))
    }),
    ("a staple says revoked", Revoked, |ca, _| {
        Said::staple("bad", ca.staple("bad", CA))
    }),
    ("a staple by a delegate", Good, |ca, _| {
        Said::staple("good", ca.staple("good", DELEGATE))
    }),
    (
        "a staple by a delegate without the usage",
        Unavailable,
        |ca, _| Said::staple("good", ca.staple("good", LEAF)),
    ),
    (
        "a staple without its signer's certificate",
        Unavailable,
        |ca, _| {
            let options = format!("{DELEGATE} -resp_no_certs");
            Said::staple("good", ca.staple("good", &options))
        },
    ),
    ("a staple has no end", Unavailable, |ca, _| {
        let options = "-rsigner ca.pem -rkey ca.key";
        Said::staple("good", ca.staple("good", options))
    }),
    (
        "a staple for another serial number",
        Unavailable,
        |ca, _| Said::staple("good", ca.staple("stapled", CA)),
    ),
    ("a staple of another CA", Unavailable, |_, other| {
        Said::staple("good", other.staple("good", CA))
    }),
    ("a staple is truncated", Unavailable, |ca, _| {
        // Within: openssl reads the outer part.
        let mut staple = OcspResponse::from_der(&ca.staple("good", CA)).unwrap();
        let inner = staple.response_bytes.as_mut().unwrap();
        let bytes = inner.response.as_bytes();
        inner.response = OctetString::new(&bytes[..bytes.len() - 10]).unwrap();
        Said::staple("good", staple.to_der().unwrap())
    }),
    ("a staple that is demanded", Good, |ca, _| {
        Said::staple("stapled", ca.staple("stapled", CA))
    }),
    (
        "the staple says revoked while the list is good",
        Revoked,
        |ca, _| Said {
            staple: Some(ca.staple("bad", CA)),
            ..Said::lists("bad", [ca.read("early.pem")])
        },
    ),
    (
        "the list has it while the staple is good",
        Revoked,
        |ca, _| {
            // From before, as one who has the key would keep it.
            let index = ca.read("index.txt");
            let lines = String::from_utf8(index.clone()).unwrap();
            let before = lines
                .lines()
                .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
                    ["R", until, _, serial, file, name] => {
                        format!("V\t{until}\t\t{serial}\t{file}\t{name}\n")
                    }
                    _ => format!("{line}\n"),
                });
            std::fs::write(ca.dir.join("index.txt"), before.collect::<String>()).unwrap();
            let staple = ca.staple("bad", CA);
            std::fs::write(ca.dir.join("index.txt"), index).unwrap();
            Said {
                staple: Some(staple),
                ..Said::lists("bad", [ca.list("-crlexts crl_ext")])
            }
        },
    ),
    ("the responder says good", Good, |_, _| {
        Said::responder("good", CA)
    }),
    ("the responder says revoked", Revoked, |_, _| {
        Said::responder("bad", CA)
    }),
    ("a delegate answers, by its key", Good, |_, _| {
        Said::responder(
            "good",
            "-rsigner delegate.pem -rkey delegate.key -ndays 1 -resp_key_id",
        )
    }),
    ("a delegate says revoked", Revoked, |_, _| {
        Said::responder("bad", DELEGATE)
    }),
    ("the responder answers about SHA-256", Good, |_, _| Said {
        hash: CertIdHash::Sha256,
        ..Said::responder("good", CA)
    }),
    ("the responder does not say until when", Good, |_, _| {
        Said::responder("good", "-rsigner ca.pem -rkey ca.key")
    }),
    ("the responder may not answer", Unavailable, |_, _| {
        Said::responder("good", LEAF)
    }),
    ("the responder does not know it", Unavailable, |ca, _| {
        std::fs::write(ca.dir.join("empty.txt"), "").unwrap();
        Said::responder(
            "good",
            "-index empty.txt -rsigner ca.pem -rkey ca.key -ndays 1",
        )
    }),
    (
        "the responder says revoked while the list is good",
        Revoked,
        |ca, _| Said {
            // Of another time, so that the list alone does not decide.
            lists: vec![ca.list(FUTURE)],
            ..Said::responder("bad", CA)
        },
    ),
];

/// `openssl ocsp` as a server. Its certificates name an address where nobody is; what is asked there is asked here.
async fn responder(ca: &OpenSsl, options: &str) -> Option<Server> {
    let index = if options.contains("-index") {
        ""
    } else {
        "-index index.txt"
    };
    let dir = ca.dir.to_str().unwrap();
    let options = words(&format!("{index} -CA ca.pem {options}"));
    let options = options.into_iter().map(|option| {
        let is_file = [".pem", ".key", ".txt"]
            .iter()
            .any(|end| option.ends_with(end));
        if is_file {
            format!("{dir}/{option}")
        } else {
            option
        }
    });
    serve(
        "ocsp -port 0 -ignore_err",
        &options.collect::<Vec<_>>(),
        Files::new(),
    )
    .await
}

fn to(addr: SocketAddr) -> impl FnMut(FetchRequest) -> FetchRequest + Clone + Send + Sync {
    move |mut request| {
        // It takes the whole path for the question.
        request.uri = format!("http://{addr}/").parse().unwrap();
        request
    }
}

/// `None` without openssl.
async fn judge(
    case: &Case,
    ca: &OpenSsl,
    other: &OpenSsl,
) -> Option<Result<bartizan_tls::TlsInfo, bartizan_core::BoxError>> {
    let said = (case.2)(ca, other);
    let index = CrlIndex::new(&provider());
    index.add_issuers([ca.der("ca")]).unwrap();
    for list in said.lists {
        index.add(list);
    }
    let builder = Revocation::of_servers(&provider())
        .crls(index)
        .cert_id_hash(said.hash);
    let asked = match said.responder {
        Some(options) => Some(responder(ca, options).await?),
        None => None,
    };
    let engine = match &asked {
        Some(asked) => builder
            .methods([Method::Crl, Method::Ocsp])
            .fetcher(HttpFetcher::new().map_request(to(asked.addr))),
        None => builder.methods([Method::Staple, Method::Crl]),
    };
    let client = ClientTls::new(provider(), ca.anchors()).revocation(engine.build().unwrap());

    let files = Files::new();
    let key = String::from_utf8(ca.read(&format!("{}.key", said.leaf))).unwrap();
    let mut options = files.shown(&[ca.der(said.leaf)], &key);
    if let Some(staple) = &said.staple {
        options.extend(["-status_file".into(), files.write("staple", staple)]);
    }
    let server = serve("s_server -accept 127.0.0.1:0", &options, files).await?;
    let connected = connect(&connector(client), server.addr, "a.test").await;
    Some(connected.map(|stream| stream.tls_info().expect("TLS").clone()))
}

#[tokio::test]
async fn every_case_is_judged_as_it_should_be() {
    let (Some(ca), Some(other)) = (OpenSsl::new(false), OpenSsl::new(false)) else {
        return;
    };
    let mut wrong = Vec::new();
    for case in CASES {
        let Some(info) = judge(case, &ca, &other).await else {
            return;
        };
        let found = found(case.0, &info);
        if found != case.1 {
            let info = info.map_err(|error| chain(&*error));
            wrong.push(format!("{}: {found:?}, not {:?}: {info:?}", case.0, case.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_staple_that_is_demanded_and_absent_is_refused() {
    let Some(ca) = OpenSsl::new(false) else {
        return;
    };
    let case: Case = ("", Unavailable, |ca, _| {
        Said::lists("stapled", [ca.list("-crlexts crl_ext")])
    });
    let Some(info) = judge(&case, &ca, &ca).await else {
        return;
    };
    let error = info.unwrap_err();
    let refusal = find::<Refusal>(&*error).unwrap();
    assert!(refusal.is_must_staple(), "{}", chain(&*error));
}

#[tokio::test]
async fn a_client_of_openssl_that_is_listed_does_not_get_in() {
    let Some(ca) = OpenSsl::new(false) else {
        return;
    };
    let index = CrlIndex::new(&provider());
    index.add_issuers([ca.der("ca")]).unwrap();
    index.add(ca.list("-crlexts crl_ext")).remove(0).unwrap();
    let engine = Revocation::of_clients(&provider()).crls(index);
    let identity = Identity::from_pem(&provider(), &ca.read("good.pem"), &ca.read("good.key"));
    let listener = ListenerTls::new(provider())
        .identity(identity.unwrap())
        .client_auth(ClientAuth::Required(ca.anchors()))
        .revocation(engine.build().unwrap());
    let listener = acceptor(listener);
    for (leaf, is_listed) in [("good", false), ("bad", true)] {
        let files = Files::new();
        let key = String::from_utf8(ca.read(&format!("{leaf}.key"))).unwrap();
        let options = files.shown(&[ca.der(leaf)], &key);
        let Some(met) = s_client(&options, &listener).await else {
            return;
        };
        match met.listener {
            Ok(info) => assert!(!is_listed && matches!(info.revocation(), Verdict::Good(_))),
            Err(error) => {
                let refusal = find::<Refusal>(&error).unwrap();
                assert!(is_listed && refusal.is_revoked(), "{}", chain(&error));
            }
        }
    }
}
