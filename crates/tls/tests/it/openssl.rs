//! OpenSSL at the other end: what rustls cannot be made to do wrong, it can.
//!
//! Without `openssl` on the machine these tests say so, and pass.

#![expect(
    clippy::print_stderr,
    reason = "a build of openssl that cannot do something says what"
)]

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::UNIX_EPOCH,
};

use bartizan_tls::{ClientAuth, Error, Identity, Stage, TlsAcceptor, TlsInfo, TlsVersion};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tower::Service;

use crate::support::{
    Authority, Leaf, acceptor, answer, bind, chain, client_tls, connect, connector, listener_tls,
    now, provider,
};

/// Files for one test, removed with it.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "bartizan-tls-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(unique);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A certificate and its key, as options of `s_client` and `s_server`.
    fn leaf(&self, leaf: &Leaf) -> Vec<String> {
        vec![
            "-cert".into(),
            self.write("leaf.pem", &leaf.pem),
            "-key".into(),
            self.write("leaf.key", &leaf.key.serialize_pem()),
        ]
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn openssl() -> Option<Command> {
    let there = std::process::Command::new("openssl")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        bartizan_testing::skipped("openssl", "there is no openssl");
        return None;
    }
    let mut command = Command::new("openssl");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Some(command)
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

/// `openssl s_client` with these options, and what our listener makes of it. `None` if openssl cannot do what it is told.
async fn s_client(options: &[String], listener: &TlsAcceptor) -> Option<Met> {
    let mut command = openssl()?;
    let (socket, addr) = bind().await;
    let mut client = command
        .args(["s_client", "-connect", &addr.to_string()])
        .args(options)
        .spawn()
        .unwrap();
    // A line is the byte that the listener waits for, and the rest of it harmless.
    let mut stdin = client.stdin.take().unwrap();
    // It may be gone already, if it cannot do what it is told.
    stdin.write_all(b"?\n").await.ok();
    let output = client.wait_with_output();
    tokio::pin!(output);
    let accepted = async {
        let (io, _) = socket.accept().await.unwrap();
        let mut stream = listener.clone().call(io).await?;
        answer(&mut stream).await;
        Ok(stream.tls_info().clone())
    };
    tokio::pin!(accepted);
    let (listener, output) = tokio::select! {
        accepted = &mut accepted => {
            drop(stdin);
            (accepted, output.await.unwrap())
        }
        output = &mut output => {
            let output = output.unwrap();
            // What it says first when it has a connection. Without one it cannot do what it is told.
            if !output.stdout.starts_with(b"CONNECTED(") {
                let told = String::from_utf8_lossy(&output.stderr);
                eprintln!("openssl cannot: {told}");
                return None;
            }
            (accepted.await, output)
        }
    };
    Some(Met { listener, output })
}

struct Met {
    listener: Result<TlsInfo, Error>,
    output: Output,
}

impl Met {
    fn told(&self) -> String {
        format!(
            "{}{}",
            String::from_utf8_lossy(&self.output.stdout),
            String::from_utf8_lossy(&self.output.stderr)
        )
    }
}

#[tokio::test]
async fn openssl_verifies_our_chain_and_speaks_both_versions() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("sub", |_| {});
    let leaf = intermediate.server(&["a.test"], |_| {}).with(&intermediate);
    let listener = acceptor(listener_tls(&leaf));
    let files = Files::new();
    let time = now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (option, version) in [("-tls1_2", TlsVersion::V1_2), ("-tls1_3", TlsVersion::V1_3)] {
        let mut options = words(&format!(
            "{option} -servername a.test -verify_hostname a.test -verify_return_error -alpn h2 -attime {time}"
        ));
        options.extend(["-CAfile".into(), files.write("root.pem", &root.pem)]);
        let Some(met) = s_client(&options, &listener).await else {
            return;
        };
        let info = met.listener.as_ref().unwrap();
        assert_eq!(info.version(), version);
        assert_eq!(info.alpn(), Some(&b"h2"[..]));
        assert_eq!(info.server_name(), Some("a.test"));
        assert!(
            met.told().contains("Verify return code: 0"),
            "{}",
            met.told()
        );
    }
}

#[tokio::test]
async fn a_client_with_nothing_but_what_is_broken_is_refused() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    for options in [
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-tls1_2 -cipher eNULL:@SECLEVEL=0",
        "-tls1_2 -cipher 3DES:@SECLEVEL=0",
        "-tls1_2 -cipher RC4:@SECLEVEL=0",
        // No forward secrecy.
        "-tls1_2 -cipher kRSA:@SECLEVEL=0",
        "-tls1_2 -cipher AES128-SHA:@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0",
        // A group that we do not have.
        "-tls1_3 -curves X448",
    ] {
        let Some(met) = s_client(&words(options), &listener).await else {
            continue;
        };
        let error = met.listener.as_ref().expect_err(options);
        // What is older than 1.2 has a first message that cannot be read.
        let stages = [Stage::Hello, Stage::Handshake];
        assert!(
            stages.contains(&error.stage()),
            "{options}: {}",
            chain(error)
        );
        assert!(
            !error.is_retryable() && !error.is_certificate(),
            "{options}"
        );
        assert!(met.told().contains("alert"), "{options}: {}", met.told());
    }
}

#[tokio::test]
async fn an_application_protocol_that_is_not_ours_is_refused() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let Some(met) = s_client(&words("-alpn spdy/3"), &listener).await else {
        return;
    };
    assert!(met.listener.is_err());
    assert!(
        met.told().contains("no application protocol"),
        "{}",
        met.told()
    );
}

#[tokio::test]
async fn client_certificates_of_openssl_are_verified() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let listener = acceptor(
        listener_tls(&root.server(&["a.test"], |_| {}))
            .client_auth(ClientAuth::Required(root.anchors())),
    );
    for (authority, good) in [(&root, true), (&other, false)] {
        let files = Files::new();
        let options = files.leaf(&authority.client(&["c.test"], |_| {}));
        let Some(met) = s_client(&options, &listener).await else {
            return;
        };
        match &met.listener {
            Ok(info) => assert!(good, "{info:?}"),
            Err(error) => assert!(!good && error.is_certificate(), "{}", chain(error)),
        }
    }
}

/// `openssl s_server` with these options.
struct Server {
    // Killed with it.
    _child: Child,
    addr: SocketAddr,
    _files: Files,
}

/// `None` if openssl cannot do what it is told.
async fn s_server(leaf: &Leaf, options: &str) -> Option<Server> {
    let mut command = openssl()?;
    let files = Files::new();
    // It takes a port, and says which when it is 0.
    let mut child = command
        .args(["s_server", "-accept", "127.0.0.1:0"])
        .args(files.leaf(leaf))
        .args(words(options))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let addr = loop {
        let Some(line) = lines.next_line().await.unwrap() else {
            eprintln!("openssl cannot: {options}");
            return None;
        };
        if let Some(addr) = line.strip_prefix("ACCEPT ") {
            break addr.trim().parse().unwrap();
        }
    };
    // What it writes from here on is for nobody, and must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(Server {
        _child: child,
        addr,
        _files: files,
    })
}

#[tokio::test]
async fn servers_of_openssl_are_verified() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let client = connector(client_tls(&root));
    for version in ["-tls1_2", "-tls1_3"] {
        let leaf = root.server(&["a.test"], |_| {});
        let Some(server) = s_server(&leaf, &format!("{version} -alpn h2")).await else {
            return;
        };
        let stream = connect(&client, server.addr, "a.test").await.unwrap();
        assert_eq!(stream.alpn(), Some(&b"h2"[..]));
        // It serves one at a time.
        drop(stream);
        let error = connect(&client, server.addr, "b.test").await.unwrap_err();
        assert!(
            error.to_string().contains("another name"),
            "{}",
            chain(&*error)
        );

        let leaf = other.server(&["a.test"], |_| {});
        let server = s_server(&leaf, version).await.unwrap();
        let error = connect(&client, server.addr, "a.test").await.unwrap_err();
        assert!(
            error.to_string().contains("no trust anchor"),
            "{}",
            chain(&*error)
        );
    }
}

#[tokio::test]
async fn a_server_with_nothing_but_what_is_broken_is_refused() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let client = connector(client_tls(&root));
    for options in [
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-tls1_2 -cipher eNULL:@SECLEVEL=0",
        "-tls1_2 -cipher 3DES:@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0",
        "-tls1_3 -alpn spdy/3",
    ] {
        let Some(server) = s_server(&leaf, options).await else {
            continue;
        };
        let error = connect(&client, server.addr, "a.test")
            .await
            .expect_err(options);
        let error = bartizan_core::find::<Error>(&*error).unwrap();
        assert_eq!(
            error.stage(),
            Stage::Handshake,
            "{options}: {}",
            chain(error)
        );
        assert!(
            !error.is_retryable() && !error.is_certificate(),
            "{options}"
        );
    }
}

/// rcgen makes none that is signed by SHA-1.
#[tokio::test]
async fn a_certificate_signed_by_sha_1_is_refused() {
    let files = Files::new();
    let extensions = files.write(
        "ext",
        "subjectAltName=DNS:a.test\nkeyUsage=digitalSignature\n",
    );
    let (ca, ca_key, csr) = (files.path("ca"), files.path("ca.key"), files.path("csr"));
    let (leaf, key) = (files.path("leaf"), files.path("leaf.key"));
    for command in [
        format!(
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=root -days 2 -keyout {ca_key} -out {ca}"
        ),
        format!("req -newkey rsa:2048 -nodes -subj /CN=leaf -keyout {key} -out {csr}"),
        format!(
            "x509 -req -sha1 -in {csr} -CA {ca} -CAkey {ca_key} -set_serial 1 -days 1 -extfile {extensions} -out {leaf}"
        ),
    ] {
        let Some(mut openssl) = openssl() else {
            return;
        };
        let made = openssl.args(words(&command)).output().await.unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
    let root = bartizan_tls::TrustAnchors::from_pem_file(&ca).unwrap();
    let identity = Identity::from_pem_files(&provider(), &leaf, &key).unwrap();
    let mut listener = acceptor(bartizan_tls::ListenerTls::new(provider()).identity(identity));
    // By the clock of openssl.
    let client = connector(bartizan_tls::ClientTls::new(provider(), root));
    let (socket, addr): (TcpListener, _) = bind().await;
    let (connected, _) = tokio::join!(connect(&client, addr, "a.test"), async {
        let (io, _) = socket.accept().await.unwrap();
        listener.call(io).await
    });
    let error = connected.unwrap_err();
    let error = bartizan_core::find::<Error>(&*error).unwrap();
    assert_eq!(error.stage(), Stage::Verify, "{}", chain(error));
    assert!(error.to_string().contains("SHA-1"), "{}", chain(error));
}
