//! The server of all contenders.

use std::{
    convert::Infallible,
    io::{self, BufRead, BufReader},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

use crate::{load::LARGE, runtime};

/// A server on a thread of its own, on every address of this machine's loopback. Answers where it is.
pub(crate) fn start() -> io::Result<String> {
    let runtime = runtime()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || runtime.block_on(serve(listener)));
    Ok(format!("http://127.0.0.1:{port}/"))
}

async fn serve(listener: TcpListener) {
    let large = Bytes::from(vec![7; LARGE]);
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP stream");
        let large = large.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request: http::Request<hyper::body::Incoming>| {
                let large = large.clone();
                async move {
                    let is_large = request.uri().path() == "/large";
                    let mut body = request.into_body();
                    while body.frame().await.is_some() {}
                    let answer = if is_large {
                        large
                    } else {
                        Bytes::from_static(b"ok")
                    };
                    Ok::<_, Infallible>(Response::new(Full::new(answer)))
                }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            // A connection that ends with an error ends with its contender, at the end of a run.
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// The same in a process of its own, so that what is measured of this one is the client's. It ends with its handle.
pub(crate) struct Process {
    child: Child,
    pub(crate) uri: String,
}

impl Process {
    pub(crate) fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut uri = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut uri)?;
        uri.truncate(uri.trim_end().len());
        Ok(Self { child, uri })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
