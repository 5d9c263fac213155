//! What to tell a CA that comes to see who we are.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::handle::AcmeError;

/// The protocol of a connection that validates a challenge (RFC 8737 section 6.2).
const ALPN: &[u8] = b"acme-tls/1";

/// The answers to the challenges that are open now. Its clones are one and the same.
///
/// It comes [from](super::Acme::challenges) the [`Acme`](super::Acme) that is challenged, and goes to whoever the CA will ask: a
/// [listener](crate::ListenerTls::acme), or an [`Http01Layer`](super::Http01Layer). It is in memory, so that only this process can answer:
/// behind a balancer, one process orders for all.
#[derive(Clone, Default)]
pub struct Challenges(Arc<RwLock<Answers>>);

#[derive(Default)]
struct Answers {
    /// By token (RFC 8555 section 8.3).
    files: HashMap<String, String>,
    /// By name (RFC 8737).
    certificates: HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// The key authorization for a token.
    pub(super) fn file(&self, token: &str) -> Option<String> {
        let answers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        answers.files.get(token).cloned()
    }

    /// Answers to this token, until the guard is dropped.
    pub(super) fn answer_file(&self, token: String, authorization: String) -> Answering {
        self.change(|answers| {
            answers.files.insert(token.clone(), authorization);
        });
        Answering {
            challenges: self.clone(),
            what: What::File(token),
        }
    }

    /// Answers for this name by a certificate that shows the digest of the key authorization, until the guard is dropped.
    pub(super) fn answer_certificate(
        &self,
        name: &str,
        digest: &[u8; 32],
        crypto: &CryptoProvider,
    ) -> Result<Answering, AcmeError> {
        let certificate = certificate(name, digest, crypto)?;
        self.change(|answers| {
            answers
                .certificates
                .insert(name.to_owned(), Arc::new(certificate));
        });
        Ok(Answering {
            challenges: self.clone(),
            what: What::Certificate(name.to_owned()),
        })
    }

    /// Makes of a listener's settings those for connections of a CA: it is shown a certificate that answers a challenge, or none.
    pub(crate) fn configure(&self, mut config: ServerConfig) -> ServerConfig {
        config.cert_resolver = Arc::new(Resolver(self.clone()));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Such a session is nobody's to resume.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config
    }

    fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether a client wants nothing but to validate a challenge.
pub(crate) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.next() == Some(ALPN) && offered.next().is_none())
}

fn certificate(
    name: &str,
    digest: &[u8; 32],
    crypto: &CryptoProvider,
) -> Result<CertifiedKey, AcmeError> {
    let failed = || AcmeError::new("the certificate that answers a challenge cannot be made");
    let made = || {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok::<_, rcgen::Error>((params.self_signed(&key)?, key.serialize_der()))
    };
    let (certificate, key) = made().map_err(|error| failed().with_source(error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let key = crypto
        .key_provider
        .load_private_key(key)
        .map_err(|error| failed().with_source(error))?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

#[derive(Debug)]
struct Resolver(Challenges);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        let answers = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        answers.certificates.get(&name).cloned()
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Challenges")
            .field("files", &answers.files.len())
            .field("certificates", &answers.certificates.len())
            .finish()
    }
}

/// An answer, for as long as this lives: a challenge that is over must not be answered by whoever asks.
pub(super) struct Answering {
    challenges: Challenges,
    what: What,
}

enum What {
    File(String),
    Certificate(String),
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.challenges.change(|answers| match &self.what {
            What::File(token) => drop(answers.files.remove(token)),
            What::Certificate(name) => drop(answers.certificates.remove(name)),
        });
    }
}

#[cfg(test)]
#[cfg(feature = "aws-lc")]
mod tests {
    use rustls::{
        ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    };
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio::io::duplex;
    use tower_service::Service;

    use super::*;
    use crate::{ClientAuth, ListenerTls, Provider, TlsAcceptor, TrustAnchors};

    /// A CA looks at the certificate by itself: the extension that answers is critical, and webpki does not know it.
    #[derive(Debug)]
    struct Looks;

    impl ServerCertVerifier for Looks {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }

    /// What a CA sees that asks for this name.
    async fn validate(
        acceptor: &TlsAcceptor,
        name: &'static str,
    ) -> Option<CertificateDer<'static>> {
        let crypto = Arc::clone(Provider::aws_lc().crypto());
        let mut config = ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Looks))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let (ours, theirs) = duplex(16 * 1024);
        let mut acceptor = acceptor.clone();
        let connecting = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name.try_into().unwrap(), ours);
        let (client, listener) = tokio::join!(connecting, acceptor.call(theirs));
        let listener = listener.expect_err("nobody is to be served");
        assert_eq!(listener.is_acme_challenge(), client.is_ok(), "{listener:?}");
        let client = client.ok()?;
        let connection = client.get_ref().1;
        assert_eq!(connection.alpn_protocol(), Some(ALPN));
        Some(
            connection
                .peer_certificates()?
                .first()?
                .clone()
                .into_owned(),
        )
    }

    /// A CA has no certificate of a client, and comes all the same.
    #[tokio::test]
    async fn a_challenge_is_answered_while_it_is_open_also_where_clients_have_to_be_known() {
        let root = rcgen::generate_simple_self_signed(["root.test".to_owned()]).unwrap();
        let root = TrustAnchors::from_der([root.cert.der().to_vec()]).unwrap();
        let challenges = Challenges::default();
        let provider = Provider::aws_lc();
        let settings = ListenerTls::new(provider.clone())
            .acme(challenges.clone())
            .client_auth(ClientAuth::Required(root));
        let acceptor = TlsAcceptor::try_new(settings).unwrap();
        assert!(validate(&acceptor, "a.test").await.is_none());

        let digest = [7; 32];
        let answering = challenges
            .answer_certificate("a.test", &digest, provider.crypto())
            .unwrap();
        let shown = validate(&acceptor, "a.test").await.expect("an answer");
        assert!(shown.windows(32).any(|window| window == digest));
        assert!(
            validate(&acceptor, "A.TEST").await.is_some(),
            "names have no case"
        );
        assert!(validate(&acceptor, "b.test").await.is_none());

        drop(answering);
        assert!(validate(&acceptor, "a.test").await.is_none());
    }
}
