//! Handshakes per second of a server's processor time, beside a bare tokio-rustls server and nginx, in one run:
//! `cargo bench --bench tls`, from `bench-peers/`.
//!
//! One client asks one server after the other, so that nothing is measured but what the server spends: the time that Linux says its thread
//! has run. Contenders take turns in each round; the ratio is the median of those within a round. Everybody has the same certificate
//! (ECDSA P-256), TLS 1.3, `TLS_AES_128_GCM_SHA256` and X25519, which the client insists on, and sends two tickets. nginx reads and answers
//! HTTP as well; the others read some bytes and write some.
//!
//! `cargo bench --bench tls -- count SERVER HANDSHAKES` makes so many handshakes with one of them, for callgrind, which counts what is
//! within `serving` alone and so the server's instructions without the client's:
//!
//! ```sh
//! valgrind --tool=callgrind --toggle-collect='*serving*' --callgrind-out-file=/dev/null target/release/deps/tls-… count ours 100
//! ```
//!
//! Without `nginx` or `openssl` on the machine the rows that need them are left out.

use std::{
    error::Error,
    fs,
    future::poll_fn,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    pin::{Pin, pin},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use bartizan_tls::{
    ClientAuth, Identity, ListenerTls, Provider, TlsAcceptor, TrustAnchors,
    revocation::{CrlIndex, FetchRequest, Method, Revocation},
};
use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, Stream,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer},
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tower::{Service, service_fn};

const ROUNDS: usize = 60;
/// Of one contender in one round: long enough for the clock, short enough for what drifts.
const HANDSHAKES: u32 = 100;
const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
const ENTRIES: u64 = 200_000;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let pki = Pki::new()?;
    let args = std::env::args().collect::<Vec<_>>();
    if let Some(at) = args.iter().position(|arg| arg == "count") {
        let [name, handshakes] = &args[at + 1..] else {
            return Err("count SERVER HANDSHAKES".into());
        };
        return count(&pki, name, handshakes.parse()?);
    }
    let bare = Contender::bare("bare tokio-rustls", &pki, None)?;
    let limited = Contender::bare(
        "bare tokio-rustls, with a timeout",
        &pki,
        Some(Duration::from_secs(10)),
    )?;
    let ours = Contender::ours("bartizan", &pki, |settings| settings)?;
    let nginx = Contender::nginx(&pki)?;
    println!("| handshake | server | µs of its processor | per processor second | to the first |");
    println!("|---|---|---|---|---|");
    let plain = [Some(&bare), Some(&limited), Some(&ours), nginx.as_ref()];
    let plain = plain.into_iter().flatten().collect::<Vec<_>>();
    for (kind, resumes) in [("full", false), ("resumed", true)] {
        compare(kind, &plain, &pki, resumes, false)?;
    }

    let mutual = Contender::ours("bartizan, clients known", &pki, |settings| {
        settings.client_auth(ClientAuth::Required(pki.anchors()))
    })?;
    let anchors = pki.anchors();
    let checks = |engine: Revocation| {
        let anchors = anchors.clone();
        move |settings: ListenerTls| {
            settings
                .client_auth(ClientAuth::Required(anchors))
                .revocation(engine)
        }
    };
    let fetched = Revocation::of_clients(&Provider::aws_lc()).methods([Method::Crl]);
    let fetched = fetched.fetcher(answering(pki.list(0)?)).build()?;
    let fetched = Contender::ours("and a list that was fetched", &pki, checks(fetched))?;
    let asked = match pki.answer()? {
        None => None,
        Some(answer) => {
            let engine = Revocation::of_clients(&Provider::aws_lc()).methods([Method::Ocsp]);
            let engine = engine.fetcher(answering(answer)).build()?;
            Some(Contender::ours(
                "and an OCSP answer that is kept",
                &pki,
                checks(engine),
            )?)
        }
    };
    let index = CrlIndex::new(&Provider::aws_lc()).with_max_size(64 << 20);
    index.add_issuers([&pki.ca])?;
    for added in index.add(pki.list(ENTRIES)?) {
        added?;
    }
    let large = Revocation::of_clients(&Provider::aws_lc())
        .crls(index)
        .build()?;
    let large = Contender::ours("and a list of 200,000 entries", &pki, checks(large))?;
    let again = Contender::ours("the same again, for the noise", &pki, |settings| {
        settings.client_auth(ClientAuth::Required(pki.anchors()))
    })?;
    let mutual = [
        Some(&mutual),
        Some(&again),
        Some(&fetched),
        asked.as_ref(),
        Some(&large),
    ];
    let mutual = mutual.into_iter().flatten().collect::<Vec<_>>();
    for (kind, resumes) in [("full, mutual", false), ("resumed, mutual", true)] {
        compare(kind, &mutual, &pki, resumes, true)?;
    }
    Ok(())
}

/// Handshakes with one server. Of those that are resumed, the first is full.
fn count(pki: &Pki, name: &str, handshakes: u32) -> Result<()> {
    let (kind, resumes) = match name.split_once('-') {
        Some((kind, "resumed")) => (kind, true),
        _ => (name, false),
    };
    let known = |settings: ListenerTls| settings.client_auth(ClientAuth::Required(pki.anchors()));
    let (contender, mutual) = match kind {
        "bare" => (Contender::bare("bare", pki, None)?, false),
        "limited" => {
            let limit = Some(Duration::from_secs(10));
            (Contender::bare("limited", pki, limit)?, false)
        }
        "ours" => (Contender::ours("ours", pki, |settings| settings)?, false),
        "mutual" => (Contender::ours("mutual", pki, known)?, true),
        "checked" => {
            let engine = Revocation::of_clients(&Provider::aws_lc()).methods([Method::Crl]);
            let engine = engine.fetcher(answering(pki.list(0)?)).build()?;
            let checked = |settings| known(settings).revocation(engine);
            (Contender::ours("checked", pki, checked)?, true)
        }
        _ => return Err("bare, limited, ours, mutual or checked, and -resumed".into()),
    };
    let client = pki.client(resumes, mutual)?;
    for _ in 0..handshakes {
        shake(contender.addr, &client)?;
    }
    Ok(())
}

/// All that a server does. Not inlined: callgrind knows it by its name.
#[inline(never)]
fn serving(server: Pin<&mut dyn Future<Output = ()>>, cx: &mut Context<'_>) -> Poll<()> {
    server.poll(cx)
}

/// A fetcher that always has this.
fn answering(
    bytes: Vec<u8>,
) -> impl Service<FetchRequest, Response = Bytes, Error = std::io::Error, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let bytes = Bytes::from(bytes);
    service_fn(move |_: FetchRequest| std::future::ready(Ok(bytes.clone())))
}

fn compare(
    kind: &str,
    contenders: &[&Contender],
    pki: &Pki,
    resumes: bool,
    mutual: bool,
) -> Result<()> {
    let clients = contenders
        .iter()
        .map(|_| pki.client(resumes, mutual))
        .collect::<Result<Vec<_>>>()?;
    let mut spent = vec![Vec::new(); contenders.len()];
    for round in 0..=ROUNDS {
        // Whoever comes after a heavy one pays for it: each comes after each.
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            let contender = contenders[at];
            let before = contender.cpu()?;
            for number in 0..HANDSHAKES {
                let found = shake(contender.addr, &clients[at])?;
                let expected = match resumes && (round > 0 || number > 0) {
                    true => HandshakeKind::Resumed,
                    false => HandshakeKind::Full,
                };
                if found != expected {
                    return Err(format!("{}: {found:?}, not {expected:?}", contender.name).into());
                }
            }
            let each = (contender.cpu()? - before) / HANDSHAKES;
            // The first is to get warm.
            if round > 0 {
                spent[at].push(each.as_secs_f64() * 1e6);
            }
        }
    }
    for at in 0..contenders.len() {
        let ratio = median(
            spent[0]
                .iter()
                .zip(&spent[at])
                .map(|(first, this)| first / this)
                .collect(),
        );
        let each = median(spent[at].clone());
        println!(
            "| {kind} | {} | {each:.0} | {:.0} | {ratio:.3} |",
            contenders[at].name,
            1e6 / each
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One handshake, one request, one response.
fn shake(addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<HandshakeKind> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    let mut connection = ClientConnection::new(Arc::clone(config), "a.test".try_into()?)?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    // To its end: the tickets come before the response.
    stream.read_to_end(&mut response).ok();
    if !response.starts_with(b"HTTP/1.1 204") {
        return Err("that is no answer".into());
    }
    connection
        .handshake_kind()
        .ok_or_else(|| "no handshake".into())
}

/// A server, and where to read what it spends.
struct Contender {
    name: &'static str,
    addr: SocketAddr,
    /// Linux's account of its thread.
    account: PathBuf,
    _process: Option<Process>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Contender {
    fn cpu(&self) -> Result<Duration> {
        let account = fs::read_to_string(&self.account)?;
        let nanos = account.split(' ').next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(nanos))
    }

    fn bare(name: &'static str, pki: &Pki, timeout: Option<Duration>) -> Result<Self> {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(
                    vec![CertificateDer::from(pki.server.0.clone())],
                    PrivateKeyDer::try_from(pki.server.1.clone())?,
                )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        Self::serve(name, move |io| {
            let acceptor = acceptor.clone();
            async move {
                match timeout {
                    None => Ok(acceptor.accept(io).await?),
                    Some(timeout) => Ok(tokio::time::timeout(timeout, acceptor.accept(io)).await??),
                }
            }
        })
    }

    fn ours(
        name: &'static str,
        pki: &Pki,
        change: impl FnOnce(ListenerTls) -> ListenerTls,
    ) -> Result<Self> {
        let provider = Provider::aws_lc();
        let identity = Identity::from_der(&provider, [pki.server.0.clone()], &pki.server.1)?;
        let settings = change(ListenerTls::new(provider).identity(identity));
        let acceptor = TlsAcceptor::try_new(settings)?;
        Self::serve(name, move |io| {
            let mut acceptor = acceptor.clone();
            async move { Ok(acceptor.call(io).await?) }
        })
    }

    /// Serves on a thread of its own, one connection after the other.
    fn serve<F, IO>(
        name: &'static str,
        accept: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<IO>>,
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (started, start) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let server = async {
                let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let thread = fs::read_link("/proc/thread-self").expect("Linux");
                let addr = socket.local_addr().expect("an address");
                started.send((addr, thread)).expect("it is waited for");
                loop {
                    let (io, _) = socket.accept().await.expect("a connection");
                    io.set_nodelay(true).expect("an option");
                    match accept(io).await {
                        Ok(mut stream) => {
                            let mut request = [0; 256];
                            let _ = stream.read(&mut request).await;
                            let _ = stream.write_all(RESPONSE).await;
                            let _ = stream.shutdown().await;
                        }
                        Err(error) => eprintln!("{name}: {error}"),
                    }
                }
            };
            let mut server = pin!(server);
            runtime
                .expect("a runtime")
                .block_on(poll_fn(|cx| serving(server.as_mut(), cx)));
        });
        let (addr, thread) = start.recv()?;
        Ok(Self {
            name,
            addr,
            account: Path::new("/proc").join(thread).join("schedstat"),
            _process: None,
        })
    }

    fn nginx(pki: &Pki) -> Result<Option<Self>> {
        let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (certificate, key) = pki.server_files()?;
        let dir = pki.dir.display();
        let config = format!(
            "daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr crit;
             events {{ worker_connections 64; }}
             http {{
               access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
               uwsgi_temp_path {dir}; scgi_temp_path {dir};
               server {{
                 listen {addr} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};
                 ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets on;
                 location / {{ return 204; }}
               }}
             }}"
        );
        let file = pki.file("nginx.conf", config.as_bytes())?;
        let spawned = Command::new("nginx")
            .args(["-c", &file, "-p", &dir.to_string()])
            .stdin(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            eprintln!("there is no nginx, and so no row of its");
            return Ok(None);
        };
        let account = PathBuf::from(format!("/proc/{}/schedstat", child.id()));
        let process = Some(Process(child));
        let started = Instant::now();
        while TcpStream::connect(addr).is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                return Err("nginx does not start".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(Self {
            name: "nginx",
            addr,
            account,
            _process: process,
        }))
    }
}

/// A CA, and a certificate with its key for each end.
struct Pki {
    dir: PathBuf,
    ca: Vec<u8>,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    server: (Vec<u8>, Vec<u8>),
    client: (Vec<u8>, Vec<u8>),
}

const CLIENT: u64 = 7;

impl Pki {
    fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("bartizan-bench-tls-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let ca = params.self_signed(&key)?;
        let (ca, ca_pem) = (ca.der().to_vec(), ca.pem());
        let issuer = Issuer::new(params, key);
        let leaf = |serial: u64, extensions| -> Result<_> {
            let mut params = CertificateParams::new(["a.test".to_owned()])?;
            params.serial_number = Some(SerialNumber::from(serial));
            params.custom_extensions = extensions;
            let key = KeyPair::generate()?;
            let der = params.signed_by(&key, &issuer)?.der().to_vec();
            Ok((der, key.serialize_der()))
        };
        // Where its list and its responder are: cRLDistributionPoints and authorityInfoAccess, of http://c/.
        let uri = [&[0x86, 9][..], b"http://c/"].concat();
        let points = [&[0x30, 17, 0x30, 15, 0xa0, 13, 0xa0, 11][..], &uri].concat();
        let ocsp = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
        let access = [&[0x30, 23, 0x30, 21][..], &ocsp, &uri].concat();
        let extensions = vec![
            CustomExtension::from_oid_content(&[2, 5, 29, 31], points),
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access),
        ];
        Ok(Self {
            server: leaf(1, Vec::new())?,
            client: leaf(CLIENT, extensions)?,
            dir,
            ca,
            ca_pem,
            issuer,
        })
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_der([self.ca.clone()]).expect("a root")
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let path = self.dir.join(name);
        fs::write(&path, bytes)?;
        Ok(path.display().to_string())
    }

    fn server_files(&self) -> Result<(String, String)> {
        let key = KeyPair::try_from(self.server.1.as_slice())?.serialize_pem();
        let certificate = self.file("server.der", &self.server.0)?;
        let pem = Command::new("openssl")
            .args(["x509", "-inform", "DER", "-in", &certificate])
            .output();
        let pem = pem.map(|output| output.stdout).unwrap_or_default();
        Ok((
            self.file("server.pem", &pem)?,
            self.file("server.key", key.as_bytes())?,
        ))
    }

    fn client(&self, resumes: bool, mutual: bool) -> Result<Arc<ClientConfig>> {
        let all = aws_lc_rs::default_provider();
        let provider = CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..all
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.ca.clone()))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots);
        let mut config = match mutual {
            true => builder.with_client_auth_cert(
                vec![CertificateDer::from(self.client.0.clone())],
                PrivateKeyDer::try_from(self.client.1.clone())?,
            )?,
            false => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }

    /// A list with so many entries, none of them the client's.
    fn list(&self, entries: u64) -> Result<Vec<u8>> {
        let now = OffsetDateTime::now_utc();
        let revoked = (0..entries).map(|entry| RevokedCertParams {
            serial_number: SerialNumber::from(1_000_000_000_000 + entry * 7919),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now - time::Duration::hours(1),
            next_update: now + time::Duration::days(7),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().to_vec())
    }

    /// What OpenSSL's responder says of the client.
    fn answer(&self) -> Result<Option<Vec<u8>>> {
        let ca = self.file("ca.pem", self.ca_pem.as_bytes())?;
        let key = self.file("ca.key", self.issuer.key().serialize_pem().as_bytes())?;
        let line = format!("V\t350101000000Z\t\t{CLIENT:02X}\tunknown\t/CN=client\n");
        let index = self.file("index", line.as_bytes())?;
        let (request, response) = (self.dir.join("request"), self.dir.join("response"));
        let run = |arguments: &[&str]| {
            Command::new("openssl")
                .arg("ocsp")
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
        };
        let serial = CLIENT.to_string();
        let (request, response) = (
            request.display().to_string(),
            response.display().to_string(),
        );
        let asked = run(&[
            "-issuer",
            &ca,
            "-serial",
            &serial,
            "-no_nonce",
            "-reqout",
            &request,
        ]);
        if asked.is_err() {
            eprintln!("there is no openssl, and so no row of OCSP");
            return Ok(None);
        }
        run(&[
            "-index", &index, "-CA", &ca, "-rsigner", &ca, "-rkey", &key, "-reqin", &request,
            "-respout", &response, "-ndays", "7",
        ])?;
        Ok(Some(fs::read(response)?))
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
