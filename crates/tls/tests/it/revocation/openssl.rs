//! The same with openssl as the CA and the responder: what it writes is read, and what is asked is understood.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use bartizan_core::{Clock as _, SystemClock};
use bartizan_tls::{
    Chain,
    revocation::{
        CertIdHash, CrlIndex, CrlPlace, Engine as _, Method, Refusal, Revocation, Verdict, fuzzing,
    },
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::pki::{Web, provider};

/// A CA in a directory of its own, with a leaf that is good, one that is revoked, one that has to be stapled, and a delegate.
///
/// `early.pem` is its list of before the revocation.
pub(crate) struct OpenSsl {
    pub(crate) dir: PathBuf,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

const CONFIG: &str = "
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[ca]
default_ca = ca
[ca]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 7
policy = policy
unique_subject = no
[policy]
commonName = supplied
[v3_ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[v3_leaf]
authorityInfoAccess = OCSP;URI:http://openssl/ocsp
crlDistributionPoints = URI:http://openssl/crl
subjectAltName = DNS:a.test
[v3_stapled]
subjectAltName = DNS:a.test
tlsfeature = status_request
[v3_delegate]
extendedKeyUsage = OCSPSigning
keyUsage = critical,digitalSignature
[crl_ext]
authorityKeyIdentifier = keyid:always
[crl_point]
issuingDistributionPoint = critical,@point
[point]
fullname = URI:http://openssl/crl
onlyuser = TRUE
[crl_delta]
2.5.29.27 = critical,DER:02:01:01
";

impl OpenSsl {
    /// `None`, with a message, where there is no openssl.
    pub(crate) fn new(rsa: bool) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            bartizan_testing::skipped("revocation::openssl", "there is no openssl");
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-tls-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        let this = Self { dir };
        this.write("openssl.cnf", CONFIG);
        this.write("index.txt", "");
        this.write("serial", "F0A1\n");
        this.write("crlnumber", "1000\n");
        let key = if rsa { "rsa:2048" } else { "ec" };
        let curve = if rsa {
            ""
        } else {
            " -pkeyopt ec_paramgen_curve:P-256"
        };
        this.run(&format!(
            "req -new -x509 -newkey {key}{curve} -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=ossl -config openssl.cnf \
             -extensions v3_ca"
        ));
        for (leaf, extensions) in [
            ("good", "v3_leaf"),
            ("bad", "v3_leaf"),
            ("stapled", "v3_stapled"),
            ("delegate", "v3_delegate"),
        ] {
            this.run(&format!(
                "req -new -newkey {key}{curve} -nodes -keyout {leaf}.key -out {leaf}.csr -subj /CN={leaf} -config openssl.cnf"
            ));
            this.run(&format!(
                "ca -batch -notext -config openssl.cnf -in {leaf}.csr -out {leaf}.pem -extensions {extensions}"
            ));
        }
        this.run("ca -config openssl.cnf -gencrl -crlexts crl_ext -out early.pem");
        this.run("ca -config openssl.cnf -revoke bad.pem -crl_reason keyCompromise");
        Some(this)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.join(name), text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).expect("a file")
    }

    pub(crate) fn run(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.dir)
            .output()
            .expect("openssl runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
    }

    pub(crate) fn der(&self, name: &str) -> Vec<u8> {
        let der = CertificateDer::from_pem_slice(&self.read(&format!("{name}.pem")));
        der.expect("a certificate").to_vec()
    }

    fn chain(&self, leaf: &str) -> Chain {
        fuzzing::chain(&[&self.der(leaf), &self.der("ca")])
    }

    /// A list of now, in PEM.
    pub(crate) fn list(&self, options: &str) -> Vec<u8> {
        self.run(&format!(
            "ca -config openssl.cnf -gencrl -out list.pem {options}"
        ));
        self.read("list.pem")
    }

    /// What openssl's responder answers to `request`.
    fn answer(&self, request: &[u8], options: &str) -> Vec<u8> {
        fs::write(self.dir.join("request.der"), request).expect("a file");
        self.run(&format!(
            "ocsp -index index.txt -CA ca.pem -reqin request.der -respout response.der {options}"
        ));
        self.read("response.der")
    }

    /// An engine that asks it.
    fn responder(
        self: &std::sync::Arc<Self>,
        options: &'static str,
        hash: CertIdHash,
    ) -> Revocation {
        let this = std::sync::Arc::clone(self);
        let web = Web::new(move |request| {
            Ok(this.answer(request.body.as_ref().expect("a body"), options))
        });
        let builder = Revocation::of_clients(&provider()).methods([Method::Ocsp]);
        let builder = builder.nonce(true).cert_id_hash(hash).fetcher(web);
        builder.build().expect("an engine")
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // What is left behind is in the directory for what may be.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn now() -> SystemTime {
    SystemClock.now()
}

async fn check(engine: &Revocation, chain: &Chain) -> Result<Verdict, Refusal> {
    engine.after_handshake(chain, now()).await
}

#[tokio::test]
async fn lists_of_openssl_are_read_and_looked_up() {
    for rsa in [false, true] {
        let Some(ca) = OpenSsl::new(rsa) else { return };
        let index = CrlIndex::new(&provider());
        index.add_issuers([ca.der("ca")]).expect("a certificate");
        let v1 = index
            .add(ca.list(""))
            .remove(0)
            .expect("a list of version 1 or 2");
        assert_eq!((v1.entries, v1.place), (1, CrlPlace::InUse));
        let v2 = index
            .add(ca.list("-crlexts crl_ext"))
            .remove(0)
            .expect("a list");
        assert_eq!(v2.issuer, "CN=ossl");
        let part = index
            .add(ca.list("-crlexts crl_point"))
            .remove(0)
            .expect("a part");
        assert_eq!(part.place, CrlPlace::InUse);
        let delta = index.add(ca.list("-crlexts crl_delta")).remove(0);
        assert!(delta.is_err_and(|error| error.is_unsupported()));
        assert_eq!(index.len(), 2);

        let engine = Revocation::of_clients(&provider())
            .crls(index)
            .build()
            .expect("an engine");
        assert!(matches!(
            check(&engine, &ca.chain("good")).await,
            Ok(Verdict::Good(_))
        ));
        let refusal = check(&engine, &ca.chain("bad")).await.expect_err("revoked");
        assert!(
            refusal.is_revoked() && refusal.to_string().contains("its key is compromised"),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn a_fetched_list_of_openssl_decides() {
    let Some(ca) = OpenSsl::new(false) else {
        return;
    };
    ca.list("-crlexts crl_point");
    ca.run("crl -in list.pem -outform DER -out list.der");
    let web = Web::of(ca.read("list.der"));
    let builder = Revocation::of_clients(&provider()).methods([Method::Crl]);
    let engine = builder.fetcher(web.clone()).build().expect("an engine");
    assert!(matches!(
        check(&engine, &ca.chain("good")).await,
        Ok(Verdict::Good(_))
    ));
    assert!(
        check(&engine, &ca.chain("bad"))
            .await
            .is_err_and(|refusal| refusal.is_revoked())
    );
    assert_eq!(web.asked(), ["http://openssl/crl"]);
}

#[tokio::test]
async fn openssl_s_responder_understands_and_is_understood() {
    for rsa in [false, true] {
        let Some(ca) = OpenSsl::new(rsa) else { return };
        let ca = std::sync::Arc::new(ca);
        for options in [
            "-rsigner ca.pem -rkey ca.key -ndays 1",
            "-rsigner delegate.pem -rkey delegate.key -ndays 1",
            "-rsigner delegate.pem -rkey delegate.key -ndays 1 -resp_key_id",
            // Without an end.
            "-rsigner delegate.pem -rkey delegate.key",
        ] {
            for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
                let engine = ca.responder(options, hash);
                let verdict = check(&engine, &ca.chain("good")).await;
                assert!(
                    matches!(verdict, Ok(Verdict::Good(_))),
                    "{options} {hash:?}: {verdict:?}"
                );
                let refusal = check(&engine, &ca.chain("bad")).await.expect_err("revoked");
                assert!(refusal.is_revoked(), "{options} {hash:?}: {refusal:?}");
                assert!(refusal.to_string().contains("its key is compromised"));
            }
        }
    }
}

#[tokio::test]
async fn openssl_s_responder_signing_with_the_wrong_certificate_says_nothing() {
    let Some(ca) = OpenSsl::new(false) else {
        return;
    };
    let ca = std::sync::Arc::new(ca);
    for options in [
        // Not for that.
        "-rsigner good.pem -rkey good.key -ndays 1",
        // Without the certificate.
        "-rsigner delegate.pem -rkey delegate.key -ndays 1 -resp_no_certs",
    ] {
        for leaf in ["good", "bad"] {
            let engine = ca.responder(options, CertIdHash::Sha1);
            let refusal = check(&engine, &ca.chain(leaf))
                .await
                .expect_err("nobody counts");
            assert!(refusal.is_unavailable(), "{options}: {refusal:?}");
        }
    }
}
