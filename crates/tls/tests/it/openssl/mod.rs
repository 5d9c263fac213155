//! OpenSSL at the other end: what rustls cannot be made to do wrong, it can.
//!
//! Without `openssl` on the machine these tests say so, and pass.

#![expect(
    clippy::print_stderr,
    reason = "a build of openssl that cannot do something says what"
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use bartizan_tls::{Error, TlsAcceptor, TlsInfo};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};
use tower::Service;

use crate::support::{Leaf, answer, bind, pem};

mod ends;
mod revocation;
mod tables;

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

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A certificate and its key, as options of `s_client` and `s_server`.
    fn leaf(&self, leaf: &Leaf) -> Vec<String> {
        self.shown(&leaf.chain, &leaf.key.serialize_pem())
    }

    /// The same, of a chain in DER.
    fn shown(&self, chain: &[Vec<u8>], key: &str) -> Vec<String> {
        let pems = chain.iter().map(|der| pem("CERTIFICATE", der));
        let pems = pems.collect::<Vec<_>>();
        let (leaf, rest) = pems.split_first().expect("a leaf");
        let mut options = vec![
            "-cert".into(),
            self.write("leaf.pem", leaf),
            "-key".into(),
            self.write("leaf.key", key),
        ];
        if !rest.is_empty() {
            options.extend(["-cert_chain".into(), self.write("rest.pem", rest.concat())]);
        }
        options
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

/// `openssl s_server` with these options.
struct Server {
    // Killed with it.
    _child: Child,
    addr: SocketAddr,
    _files: Files,
}

/// `None` if openssl cannot do what it is told.
async fn s_server(leaf: &Leaf, options: &str) -> Option<Server> {
    let files = Files::new();
    let mut all = files.leaf(leaf);
    all.extend(words(options));
    serve("s_server -accept 127.0.0.1:0", &all, files).await
}

/// A server among openssl's programs, with these options. It says where it listens.
async fn serve(program: &str, options: &[String], files: Files) -> Option<Server> {
    let mut child = openssl()?
        .args(words(program))
        .args(options)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = loop {
        let Some(line) = lines.next_line().await.unwrap() else {
            eprintln!("openssl cannot: {program} {options:?}");
            return None;
        };
        if let Some(addr) = line.strip_prefix("ACCEPT ") {
            // `127.0.0.1:1234`, or `[::]:1234 PID=5`.
            let addr = addr.split_whitespace().next().unwrap();
            break addr.rsplit(':').next().unwrap().parse().unwrap();
        }
    };
    // What it writes from here on is for nobody, and must not fill the pipe.
    let mut errors = child.stderr.take().unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    tokio::spawn(async move { tokio::io::copy(&mut errors, &mut tokio::io::sink()).await });
    Some(Server {
        _child: child,
        addr: (Ipv4Addr::LOCALHOST, port).into(),
        _files: files,
    })
}
