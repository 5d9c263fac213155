//! Pebble, Let's Encrypt's CA for tests, which comes and looks.
//!
//! Without `pebble` and `pebble-challtestsrv` on the machine these tests say so, and pass.

use std::{convert::Infallible, net::SocketAddr, process::Stdio};

use bartizan_core::Body;
use bartizan_testing::Loopback;
use bartizan_tls::{
    ClientTls, ListenerTls, TlsAcceptor, TrustAnchors,
    acme::{Acme, AcmeBuilder, Challenge, Http01Layer, HttpsClient},
};
use http::{Request, Response};
use rcgen::ExtendedKeyUsagePurpose;
use time::{Duration, OffsetDateTime};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::mpsc,
};
use tower::{Layer, Service, service_fn};

use super::Folder;
use crate::support::{Authority, acceptor, bind, provider};

/// Somewhere nobody listens. Another may come first; then pebble says so, and the test fails.
async fn free() -> SocketAddr {
    bind().await.1
}

struct Pebble {
    directory: String,
    roots: TrustAnchors,
    _folder: Folder,
    _processes: [Child; 2],
}

impl Pebble {
    /// Starts one that validates names at these ports of this machine, whatever they are.
    async fn start(http_port: u16, tls_port: u16, bound: bool) -> Option<Self> {
        let folder = Folder::new();
        // It lives in the present.
        let root = Authority::root_with("pebble's own", present);
        let leaf = root.server(&["127.0.0.1"], |params| {
            present(params);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        let write = |name: &str, text: String| {
            let path = folder.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let addr = free().await;
        let mut config = serde_json::json!({ "pebble": {
            "listenAddress": addr.to_string(),
            "certificate": write("own.pem", leaf.pem.clone()),
            "privateKey": write("own.key", leaf.key.serialize_pem()),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "externalAccountBindingRequired": bound,
        }});
        if bound {
            // The key is 32 times the letter k, in base64url.
            let key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s";
            config["pebble"]["externalAccountMACKeys"] = serde_json::json!({ "kid-1": key });
        }
        let config = write("config.json", config.to_string());
        let dns = free().await;
        let names = start(
            "pebble-challtestsrv",
            &[
                "-dns01",
                &dns.to_string(),
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-management",
                &free().await.to_string(),
                "-defaultIPv6",
                "",
            ],
            "Starting management server",
        )
        .await?;
        let ca = start(
            "pebble",
            &[
                "-config",
                config.to_str().unwrap(),
                "-dnsserver",
                &dns.to_string(),
            ],
            "ACME directory available at",
        )
        .await?;
        // It says so before it listens.
        let listening = async {
            while TcpStream::connect(addr).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), listening).await;
        assert!(waited.is_ok(), "pebble does not listen on {addr}");
        Some(Self {
            directory: format!("https://{addr}/dir"),
            roots: TrustAnchors::from_der([root.der]).unwrap(),
            _folder: folder,
            _processes: [names, ca],
        })
    }

    fn acme(&self, folder: &Folder) -> AcmeBuilder {
        let client = HttpsClient::try_new(ClientTls::new(provider(), self.roots.clone())).unwrap();
        Acme::builder(&provider(), &self.directory, &folder.0)
            .name("a.bartizan.test")
            .name("b.bartizan.test")
            .contact("mailto:ops@bartizan.test")
            .agree_to_terms()
            .client(client)
    }
}

fn present(params: &mut rcgen::CertificateParams) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(30);
}

/// Starts a program, and waits until it says that it is ready.
async fn start(program: &str, arguments: &[&str], ready: &str) -> Option<Child> {
    let spawned = Command::new(program)
        .args(arguments)
        .env("PEBBLE_VA_NOSLEEP", "1")
        // What it has validated, it does not ask for again.
        .env("PEBBLE_AUTHZREUSE", "100")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = spawned else {
        bartizan_testing::skipped("acme::pebble", &format!("there is no {program}"));
        return None;
    };
    let (said, mut ready_said) = mpsc::channel(1);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = ready.to_owned();
    // To its end, or it is blocked by what nobody reads.
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(&ready) {
                said.try_send(()).ok();
            }
        }
    });
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), ready_said.recv()).await;
    assert!(matches!(waited, Ok(Some(()))), "{program} did not start");
    Some(child)
}

/// Accepts whoever comes, and does no more.
fn serve(socket: TcpListener, acceptor: TlsAcceptor) -> mpsc::UnboundedReceiver<bool> {
    let (send, challenged) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((io, _)) = socket.accept().await {
            let (mut acceptor, send) = (acceptor.clone(), send.clone());
            tokio::spawn(async move {
                let is_challenge = match Service::<TcpStream>::call(&mut acceptor, io).await {
                    Ok(_) => false,
                    Err(error) => error.is_acme_challenge(),
                };
                send.send(is_challenge).ok();
            });
        }
    });
    challenged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pebble_validates_by_tls_and_the_listener_shows_what_it_issues() {
    let (socket, addr) = bind().await;
    let Some(pebble) = Pebble::start(free().await.port(), addr.port(), false).await else {
        return;
    };
    let folder = Folder::new();
    let acme = pebble.acme(&folder).build().unwrap();
    let listener = acceptor(ListenerTls::new(provider()).acme(acme.challenges()));
    let handle = listener.handle();
    let mut challenged = serve(socket, listener);
    let mut status = acme.handle();
    let running = tokio::spawn(acme.run(move |identity| {
        handle.update(|settings| settings.no_identities().identity(identity.clone()))
    }));
    status.installed().await.unwrap();
    // Once for each name at least, and from several places.
    assert!(challenged.recv().await.unwrap());
    assert!(challenged.recv().await.unwrap());

    let stream = TcpStream::connect(addr).await.unwrap();
    let client = crate::support::connector(bartizan_tls::dangerous::any_certificate(
        ClientTls::new(provider(), pebble.roots.clone()),
    ));
    let mut stream = Some(stream);
    let mut connector = client.layer(service_fn(move |_: http::Uri| {
        std::future::ready(Ok::<_, std::io::Error>(stream.take().unwrap()))
    }));
    let uri = "https://b.bartizan.test/".parse::<http::Uri>().unwrap();
    let met = connector.call(uri).await.unwrap();
    let names = met.tls_info().unwrap().peer_names().to_vec();
    for name in ["a.bartizan.test", "b.bartizan.test"] {
        assert!(
            names.contains(&bartizan_tls::PeerName::Dns(name.into())),
            "{names:?}"
        );
    }
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pebble_validates_by_http_and_knows_the_account_again() {
    let folder = Folder::new();
    // The port has to be known before pebble is started, and pebble's address before the challenges are.
    let challenges =
        std::sync::Arc::new(std::sync::OnceLock::<bartizan_tls::acme::Challenges>::new());
    let shown = std::sync::Arc::clone(&challenges);
    let server = Loopback::start(move |request: Request<Body>| {
        let to_https =
            service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::from("to https"))) });
        let mut service = Http01Layer::new(shown.get().unwrap().clone()).layer(to_https);
        async move { service.call(request).await.unwrap() }
    })
    .await;
    let Some(pebble) = Pebble::start(
        server.uri("/").port_u16().unwrap(),
        free().await.port(),
        true,
    )
    .await
    else {
        return;
    };
    let bound = |key: &str| {
        pebble
            .acme(&folder)
            .challenge(Challenge::Http01)
            .external_account("kid-1", key)
            .build()
            .unwrap()
    };
    // Whoever is bound to no account gets none.
    let stranger = bound(&"x".repeat(32));
    let mut status = stranger.handle();
    let running = tokio::spawn(stranger.run(|_| Ok::<_, Infallible>(())));
    let error = status.installed().await.unwrap_err();
    running.abort();
    assert!(error.problem().is_some(), "{error:?}");
    assert!(folder.file("account-").is_none());

    let acme = bound(&"k".repeat(32));
    challenges.set(acme.challenges()).unwrap();
    let mut status = acme.handle();
    let running = tokio::spawn(acme.run(|_| Ok::<_, Infallible>(())));
    status.installed().await.unwrap();
    running.abort();
    let account = std::fs::read(folder.file("account-").unwrap()).unwrap();
    assert!(status.next_order().is_some());

    // By the same account, which is not bound again. Its authorizations still count: nobody comes to look.
    std::fs::remove_file(folder.file("certificate-").unwrap()).unwrap();
    let again = pebble
        .acme(&folder)
        .challenge(Challenge::Http01)
        .build()
        .unwrap();
    let mut status = again.handle();
    let running = tokio::spawn(again.run(|_| Ok::<_, Infallible>(())));
    status.installed().await.unwrap();
    running.abort();
    assert_eq!(
        std::fs::read(folder.file("account-").unwrap()).unwrap(),
        account
    );
}
