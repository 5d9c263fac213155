//! Requests over loopback: raw hyper connections, hyper-util's client, and our transport, in one run.
//!
//! `cargo bench -p bartizan-bench --bench transport`. The contenders take turns within every round, so that a machine whose speed
//! drifts is as unfair to one as to the others. Each contender's least time stands beside the ratio of the least, and its median beside
//! the median of the ratios within a round: that one counts, as medians of times that drift can contradict it.
//!
//! With arguments it runs one contender for so many requests, against a server in a process of its own, so that callgrind sees the
//! client alone: `count ours 1 50 2000` is our transport, HTTP/1.1, 50 in flight, 2,000 requests. The difference between two numbers
//! of requests is what the requests cost; `bench/README.md` has the commands.

#![allow(clippy::print_stdout, reason = "its table is its result")]
#![allow(clippy::future_not_send, reason = "all of it runs on one thread")]

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_client::{Protocol, Transport};
use bartizan_core::{Body, BoxError};
use futures_util::future::try_join_all;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::Instant,
};
use tower::{Service, ServiceExt};

const ROUNDS: usize = 15;
const REQUESTS: usize = 4_000;

fn main() -> Result<(), BoxError> {
    // cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            println!("{}", serve());
            // Until the other end of the pipe is gone.
            std::io::stdin().read_line(&mut String::new())?;
        }
        ["count", who, protocol, in_flight, requests] => {
            let protocol = if protocol == "2" {
                Protocol::Http2
            } else {
                Protocol::Http1
            };
            count(who, protocol, in_flight.parse()?, requests.parse()?)?;
        }
        _ => table(),
    }
    Ok(())
}

/// Runs one contender, and nothing else in this process.
fn count(who: &str, protocol: Protocol, in_flight: usize, requests: usize) -> Result<(), BoxError> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut uri = String::new();
    BufReader::new(server.stdout.take().ok_or("a pipe")?).read_line(&mut uri)?;
    let uri: Uri = uri.trim().parse()?;
    runtime().block_on(async {
        match who {
            "raw" => {
                let raw = Raw::connect(protocol, &uri, in_flight).await?;
                raw.run(&uri, in_flight, requests).await
            }
            "legacy" => {
                let client = legacy(protocol);
                run(|| client.clone(), &uri, in_flight, requests).await
            }
            "ours" => {
                let client = Transport::builder().protocol(protocol).build()?;
                run(|| client.clone(), &uri, in_flight, requests).await
            }
            other => Err(format!("no contender `{other}`: raw, legacy or ours").into()),
        }
    })?;
    drop(server.stdin.take());
    server.wait()?;
    Ok(())
}

fn legacy(protocol: Protocol) -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .http2_only(matches!(protocol, Protocol::Http2))
        .build(connector)
}

fn table() {
    let uri = serve();
    let runtime = runtime();
    println!(
        "| protocol | in flight | contender | least µs per request | to raw hyper | median µs | median ratio to raw hyper |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, protocol) in [("HTTP/1.1", Protocol::Http1), ("HTTP/2", Protocol::Http2)] {
        for in_flight in [1, 64] {
            let figures = runtime
                .block_on(compare(protocol, &uri, in_flight))
                .expect("loopback works");
            for (contender, [least, to_least, median, ratio]) in figures {
                println!(
                    "| {name} | {in_flight} | {contender} | {least:.1} | {to_least:.2} | {median:.1} | {ratio:.2} |"
                );
            }
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A server on a thread of its own, that answers every request with two bytes.
fn serve() -> Uri {
    let runtime = runtime();
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    let addr = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        runtime.block_on(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a TCP stream");
                tokio::spawn(async move {
                    let answer = service_fn(|_| async {
                        Ok::<_, Infallible>(Response::new(Body::from("ok")))
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A connection that ends with an error ends with its contender, at the end of a run.
                    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
    });
    format!("http://{addr}/").parse().expect("a URI")
}

/// The least time of each contender, its ratio to that of raw hyper, its median time, and the median of its ratios to raw hyper.
async fn compare(
    protocol: Protocol,
    uri: &Uri,
    in_flight: usize,
) -> Result<Vec<(&'static str, [f64; 4])>, BoxError> {
    let legacy = legacy(protocol);
    let ours: Transport = Transport::builder().protocol(protocol).build()?;
    let raw = Raw::connect(protocol, uri, in_flight).await?;

    let names = ["raw hyper", "hyper-util's client", "bartizan's transport"];
    let mut rounds: [Vec<f64>; 3] = Default::default();
    // The first round opens the connections and is not counted.
    for round in 0..=ROUNDS {
        let figures = [
            raw.run(uri, in_flight, REQUESTS).await?,
            run(|| legacy.clone(), uri, in_flight, REQUESTS).await?,
            run(|| ours.clone(), uri, in_flight, REQUESTS).await?,
        ];
        if round > 0 {
            for (contender, figure) in rounds.iter_mut().zip(figures) {
                contender.push(figure);
            }
        }
    }
    let ratio = |contender: &[f64]| {
        median(
            contender
                .iter()
                .zip(&rounds[0])
                .map(|(a, raw)| a / raw)
                .collect(),
        )
    };
    Ok(names
        .into_iter()
        .zip(&rounds)
        .map(|(name, figures)| {
            let least_of_all = least(figures);
            let to_least = least_of_all / least(&rounds[0]);
            let median = median(figures.clone());
            (name, [least_of_all, to_least, median, ratio(figures)])
        })
        .collect())
}

fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Microseconds per request, of `requests` requests by `in_flight` tasks that each wait for one before they send the next.
async fn timed<F: Future<Output = Result<(), BoxError>>>(
    in_flight: usize,
    requests: usize,
    worker: impl Fn(usize, Arc<AtomicUsize>) -> F,
) -> Result<f64, BoxError> {
    let left = Arc::new(AtomicUsize::new(requests));
    let started = Instant::now();
    try_join_all((0..in_flight).map(|n| worker(n, Arc::clone(&left)))).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let requests = requests as f64;
    Ok(started.elapsed().as_secs_f64() * 1e6 / requests)
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

async fn run<S, B>(
    service: impl Fn() -> S,
    uri: &Uri,
    in_flight: usize,
    requests: usize,
) -> Result<f64, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Error: Into<BoxError>>,
{
    timed(in_flight, requests, |_, left| {
        let mut service = service();
        async move {
            while take_one(&left) {
                let request = Request::get(uri.clone()).body(Body::empty())?;
                let ready = service.ready().await.map_err(Into::into)?;
                let response = ready.call(request).await.map_err(Into::into)?;
                response.into_body().collect().await.map_err(Into::into)?;
            }
            Ok(())
        }
    })
    .await
}

/// hyper's connections and nothing around them: one per task for HTTP/1.1, one for all for HTTP/2.
enum Raw {
    Http1(Vec<tokio::sync::Mutex<http1::SendRequest<Body>>>),
    Http2(http2::SendRequest<Body>),
}

impl Raw {
    async fn connect(protocol: Protocol, uri: &Uri, in_flight: usize) -> Result<Self, BoxError> {
        let addr: SocketAddr = uri.authority().ok_or("an absolute URI")?.as_str().parse()?;
        let stream = || async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok::<_, BoxError>(TokioIo::new(stream))
        };
        if matches!(protocol, Protocol::Http2) {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), stream().await?).await?;
            tokio::spawn(connection);
            return Ok(Self::Http2(sender));
        }
        let mut senders = Vec::new();
        for _ in 0..in_flight {
            let (sender, connection) = http1::handshake(stream().await?).await?;
            tokio::spawn(connection);
            senders.push(tokio::sync::Mutex::new(sender));
        }
        Ok(Self::Http1(senders))
    }

    async fn run(&self, uri: &Uri, in_flight: usize, requests: usize) -> Result<f64, BoxError> {
        let path = uri.path_and_query().ok_or("a path")?.as_str();
        let host = uri.authority().ok_or("an absolute URI")?.as_str();
        timed(in_flight, requests, |n, left| async move {
            while take_one(&left) {
                let response: Response<Incoming> = match self {
                    Self::Http1(senders) => {
                        let request = Request::get(path)
                            .header("host", host)
                            .body(Body::empty())?;
                        let mut sender = senders[n].lock().await;
                        sender.ready().await?;
                        sender.send_request(request).await?
                    }
                    Self::Http2(sender) => {
                        let request = Request::get(uri.clone()).body(Body::empty())?;
                        sender.clone().send_request(request).await?
                    }
                };
                response.into_body().collect().await?;
            }
            Ok(())
        })
        .await
    }
}
