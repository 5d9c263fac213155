//! Serves the same two answers with one of the contenders: `serve bartizan [127.0.0.1:8080]`.
//!
//! `/large` is 4 MiB, for readers that are slow, and `/` is `hello`. What is posted is read to its end before, for writers that are slow.
//! All are as their documentation begins, on one thread, or on tokio's `THREADS`, and on one socket. Where it listens is the first line it
//! prints.

use std::{io, net::SocketAddr, pin::pin};

#[cfg(feature = "actix")]
use actix_web::{App, HttpResponse, HttpServer, web};
use axum::{Router, routing::get};
use bartizan_core::Body;
use bartizan_listener::Listener;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;
use tower::service_fn;

const HELLO: Bytes = Bytes::from_static(b"hello");
const LARGE: Bytes = Bytes::from_static(&[b'x'; 4 << 20]);

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let contender = args.next().unwrap_or_default();
    let addr: SocketAddr = args
        .next()
        .map_or(Ok(([127, 0, 0, 1], 0).into()), |addr| addr.parse())
        .map_err(io::Error::other)?;
    #[cfg(feature = "actix")]
    if contender == "actix" {
        return actix(addr);
    }
    let threads = std::env::var("THREADS").map_or(Ok(1), |threads| threads.parse());
    let mut runtime = match threads.map_err(io::Error::other)? {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            runtime.worker_threads(threads);
            runtime
        }
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async {
        match &*contender {
            "bartizan" => bartizan(addr).await,
            "bartizan-axum" => bartizan_axum(addr).await,
            "hyper" => hyper(addr).await,
            "axum" => axum(addr).await,
            _ => Err(io::Error::other(
                "expected bartizan, bartizan-axum, hyper, axum, or actix if it is compiled in, and an address",
            )),
        }
    })
}

/// The caller reads it, and so nothing else may be printed before.
fn listening(addr: SocketAddr) {
    println!("{addr}");
}

fn answer(path: &str) -> Bytes {
    if path == "/large" { LARGE } else { HELLO }
}

/// Fails if the request breaks off, or comes too slowly.
async fn respond<B, RB>(request: Request<B>) -> Result<Response<RB>, B::Error>
where
    B: http_body::Body,
    RB: From<Bytes>,
{
    let (head, body) = request.into_parts();
    if head.method == Method::POST {
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            frame?;
        }
    }
    let mut response = Response::new(RB::from(answer(head.uri.path())));
    let plain = header::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(response)
}

async fn bartizan(addr: SocketAddr) -> io::Result<()> {
    let listener = Listener::bind(addr).await.map_err(io::Error::other)?;
    listening(listener.local_addr());
    listener
        .serve(service_fn(|request: Request<Body>| async move {
            respond::<_, Body>(request).await
        }))
        .await;
    Ok(())
}

async fn bartizan_axum(addr: SocketAddr) -> io::Result<()> {
    let listener = Listener::bind(addr).await.map_err(io::Error::other)?;
    listening(listener.local_addr());
    listener.serve(router()).await;
    Ok(())
}

/// hyper with hyper-util's detection of HTTP/2, as its examples have it. It limits no time, because it has no timer.
async fn hyper(addr: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    listening(listener.local_addr()?);
    loop {
        let Ok((io, _)) = listener.accept().await else {
            // As axum does. Without it, the loop would spin when there are no descriptors left.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            continue;
        };
        io.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                respond::<_, Full<Bytes>>(request).await
            });
            // The peer will have left.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(io), service)
                .await;
        });
    }
}

fn router() -> Router {
    Router::new()
        .route("/large", get(|| async { LARGE }))
        .route(
            "/",
            get(|| async { "hello" }).post(|_: Bytes| async { "hello" }),
        )
}

async fn axum(addr: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    listening(listener.local_addr()?);
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |io| {
            io.set_nodelay(true).expect("a socket");
        }),
        router(),
    )
    .await
}

#[cfg(feature = "actix")]
fn actix(addr: SocketAddr) -> io::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new()
                .route(
                    "/large",
                    web::get().to(|| async { HttpResponse::Ok().body(LARGE) }),
                )
                .route("/", web::get().to(actix_hello))
                .route("/", web::post().to(|_: web::Bytes| actix_hello()))
        })
        .workers(1)
        .bind_auto_h2c(addr)?;
        listening(server.addrs()[0]);
        server.run().await
    })
}

#[cfg(feature = "actix")]
async fn actix_hello() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body(HELLO)
}
