//! A CA in memory that does as it is told. It believes every signature; what it checks is what it was asked for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bartizan_core::{Body, BoxError};
use bartizan_tls::acme::{Challenges, Http01Layer};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Request, Response, StatusCode};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SignatureAlgorithm,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Too many orders: `Retry-After` is this.
    RateLimited(&'static str),
    /// The validation fails.
    Invalid,
    /// The account is not known.
    NoAccount,
    /// The names in the authorization are others.
    OtherName,
    /// The certificate is for another name.
    ForAnotherName,
    /// The certificate has another key.
    ForAnotherKey,
    /// The certificate has expired.
    Expired,
    /// The answer is no JSON.
    Garbage,
    /// The answer has no end.
    Endless,
    /// The server is not there.
    Down,
    /// It is there, and says nothing.
    Silent,
}

#[derive(Default)]
struct State {
    /// When each order came, and what it replaced.
    orders: Vec<(Duration, Option<String>)>,
    accounts: usize,
    /// What the challenge's answer was, over HTTP-01.
    answers: Vec<String>,
    fault: Option<Fault>,
    chain: String,
    challenges: Option<Challenges>,
    window: Option<(SystemTime, SystemTime)>,
}

/// Its clones are one and the same.
#[derive(Clone)]
pub(crate) struct Ca {
    state: Arc<Mutex<State>>,
    issuer: Arc<Issuer<'static, KeyPair>>,
    epoch: SystemTime,
    start: Instant,
    validity: Duration,
}

struct Key(Vec<u8>);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Ca {
    /// One whose certificates are valid for so long.
    pub(crate) fn new(epoch: SystemTime, validity: Duration) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(params, KeyPair::generate().unwrap());
        Self {
            state: Arc::default(),
            issuer: Arc::new(issuer),
            epoch,
            start: Instant::now(),
            validity,
        }
    }

    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        self.state().fault = fault.into();
    }

    pub(crate) fn suggest(&self, window: (SystemTime, SystemTime)) {
        self.state().window = Some(window);
    }

    /// Looks for answers there, by HTTP-01.
    pub(crate) fn look_at(&self, challenges: Challenges) {
        self.state().challenges = Some(challenges);
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.epoch + self.start.elapsed()
    }

    /// When orders came.
    pub(crate) fn orders(&self) -> Vec<Duration> {
        self.state().orders.iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn replaced(&self) -> Vec<Option<String>> {
        self.state()
            .orders
            .iter()
            .map(|(_, id)| id.clone())
            .collect()
    }

    pub(crate) fn accounts(&self) -> usize {
        self.state().accounts
    }

    pub(crate) fn answers(&self) -> Vec<String> {
        self.state().answers.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn issue(&self, request: &[u8], fault: Option<Fault>) -> String {
        // SubjectPublicKeyInfo of P-256, up to the point.
        let header = [
            0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86,
            0x48, 0xce, 0x3d, 3, 1, 7, 3, 0x42, 0,
        ];
        let at = request
            .windows(header.len())
            .position(|window| window == header)
            .expect("a P-256 key");
        let mut key = Key(request[at + header.len()..][..65].to_vec());
        let mut name = "a.test".to_owned();
        assert!(request.windows(6).any(|window| window == name.as_bytes()));
        match fault {
            Some(Fault::ForAnotherName) => name = "b.test".to_owned(),
            Some(Fault::ForAnotherKey) => {
                key = Key(KeyPair::generate().unwrap().der_bytes().to_vec());
            }
            _ => {}
        }
        let mut params = CertificateParams::new([name]).unwrap();
        let mut from = self.now();
        if fault == Some(Fault::Expired) {
            from -= 2 * self.validity;
        }
        params.not_before = OffsetDateTime::from(from);
        params.not_after = OffsetDateTime::from(from + self.validity);
        params.use_authority_key_identifier_extension = true;
        params.signed_by(&key, &*self.issuer).unwrap().pem()
    }

    /// The service to give to [`AcmeBuilder::client`](bartizan_tls::acme::AcmeBuilder::client).
    pub(crate) async fn call(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let fault = self.state().fault;
        match fault {
            Some(Fault::Down) => return Err("connection refused".into()),
            Some(Fault::Silent) => std::future::pending().await,
            _ => {}
        }
        let path = request.uri().path().to_owned();
        let sent: Value =
            serde_json::from_slice(request.body().whole().expect("whole")).unwrap_or_default();
        let sent = sent["payload"].as_str().unwrap_or_default();
        let sent = BASE64_URL_SAFE_NO_PAD.decode(sent).unwrap();
        let sent: Value = serde_json::from_slice(&sent).unwrap_or_default();
        let here = |path: &str| format!("https://ca.test{path}");

        let mut builder = Response::builder().header("replay-nonce", "once");
        let body = match path.as_str() {
            "/directory" => {
                let mut directory = json!({
                    "newNonce": here("/nonce"), "newAccount": here("/account"), "newOrder": here("/order"),
                });
                if self.state().window.is_some() {
                    directory["renewalInfo"] = here("/renewal").into();
                }
                directory
            }
            "/nonce" => Value::Null,
            "/account" => {
                self.state().accounts += 1;
                assert_eq!(sent["contact"], json!(["mailto:ops@a.test"]));
                assert_eq!(sent["termsOfServiceAgreed"], json!(true));
                if fault == Some(Fault::NoAccount) {
                    self.fail(None);
                }
                builder = builder.status(201).header("location", here("/account/1"));
                json!({ "status": "valid" })
            }
            "/order" => {
                assert_eq!(
                    sent["identifiers"],
                    json!([{ "type": "dns", "value": "a.test" }])
                );
                let replaces = sent["replaces"].as_str().map(ToOwned::to_owned);
                let at = self.start.elapsed();
                self.state().orders.push((at, replaces.clone()));
                match fault {
                    Some(Fault::RateLimited(wait)) => {
                        let problem =
                            problem("rateLimited", "too many certificates already issued");
                        let response = Response::builder()
                            .status(StatusCode::TOO_MANY_REQUESTS)
                            .header("retry-after", wait);
                        return Ok(response.body(Body::from(problem.to_string()))?);
                    }
                    Some(Fault::NoAccount) => {
                        let problem = problem("accountDoesNotExist", "who are you?");
                        let response = Response::builder().status(400);
                        return Ok(response.body(Body::from(problem.to_string()))?);
                    }
                    Some(Fault::Garbage) => {
                        let response = Response::builder().status(502);
                        return Ok(response.body(Body::from("<html>Bad Gateway"))?);
                    }
                    Some(Fault::Endless) => {
                        return Ok(Response::new(Body::from(vec![b' '; 10_000_000])));
                    }
                    _ => {}
                }
                builder = builder.status(201).header("location", here("/order/1"));
                let mut order = order("pending");
                if let Some(replaces) = replaces {
                    order["replaces"] = replaces.into();
                }
                order
            }
            "/order/1" => match fault {
                Some(Fault::Invalid) => order("invalid"),
                _ if self.state().chain.is_empty() => order("ready"),
                _ => order("valid"),
            },
            "/authorization" => {
                let name = if fault == Some(Fault::OtherName) {
                    "b.test"
                } else {
                    "a.test"
                };
                let mut challenge = json!({
                    "type": "http-01", "url": here("/challenge"), "token": "a-token", "status": "pending",
                });
                if fault == Some(Fault::Invalid) && !self.state().answers.is_empty() {
                    challenge["error"] = problem("unauthorized", "not what was expected");
                }
                json!({
                    "identifier": { "type": "dns", "value": name }, "status": "pending", "challenges": [challenge],
                })
            }
            "/challenge" => {
                let challenges = self.state().challenges.clone().expect("somewhere to look");
                let answer = look(challenges).await;
                self.state().answers.push(answer);
                self.state().chain.clear();
                json!({ "type": "http-01", "url": here("/challenge"), "token": "a-token", "status": "processing" })
            }
            "/finalize" => {
                let request = BASE64_URL_SAFE_NO_PAD.decode(sent["csr"].as_str().unwrap())?;
                let chain = self.issue(&request, fault);
                self.state().chain = chain;
                order("processing")
            }
            "/certificate" => {
                let chain = self.state().chain.clone();
                return Ok(builder.body(Body::from(chain))?);
            }
            renewal if renewal.starts_with("/renewal/") => {
                let (start, end) = self.state().window.unwrap();
                let text = |at: SystemTime| {
                    let at = OffsetDateTime::from(at);
                    let (date, time) = (at.date(), at.time());
                    format!(
                        "{date}T{:02}:{:02}:{:02}Z",
                        time.hour(),
                        time.minute(),
                        time.second()
                    )
                };
                builder = builder.header("retry-after", "21600");
                json!({ "suggestedWindow": { "start": text(start), "end": text(end) } })
            }
            other => panic!("nobody told to ask for {other}"),
        };
        Ok(builder.body(Body::from(body.to_string()))?)
    }
}

fn order(status: &str) -> Value {
    json!({
        "status": status,
        "authorizations": ["https://ca.test/authorization"],
        "finalize": "https://ca.test/finalize",
        "certificate": "https://ca.test/certificate",
    })
}

fn problem(kind: &str, detail: &str) -> Value {
    json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail })
}

/// Looks for the answer, as a CA does.
async fn look(challenges: Challenges) -> String {
    let nobody = service_fn(|_: Request<Body>| async {
        Ok::<_, BoxError>(Response::new(Body::from("nobody")))
    });
    let request = Request::builder()
        .uri("http://a.test/.well-known/acme-challenge/a-token")
        .body(Body::default())
        .unwrap();
    let service = Http01Layer::new(challenges).layer(nobody);
    let response = service.oneshot(request).await.unwrap();
    String::from_utf8(response.body().whole().unwrap().to_vec()).unwrap()
}
