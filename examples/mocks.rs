//! Testing what calls others: scripted answers, paused time, faults, and recordings. `cargo run --example mocks`.
//!
//! What stands in `main` here stands in tests elsewhere.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::time::Duration;

use bartizan::{
    client::{BaseUrlLayer, CallTimeoutLayer, Client, Error, RequestExt, ResponseExt, Transport},
    core::{Body, BoxError},
    resilience::{
        backoff::{Backoff, Jitter},
        retry::RetryLayer,
    },
};
use bartizan_testing::{
    Answer, Fault, FaultLayer, Loopback, MockTransport, ProbeError, Route,
    record::{RecorderLayer, Replayer},
};
use tokio::{runtime::Builder, time::Instant};
use tower::{Layer, ServiceBuilder};

// ANCHOR: code
const BASE: &str = "http://weather.example/v1";

/// The code that is tested. Its transport is given to it, and has one type whatever it is.
#[derive(Clone)]
struct Weather {
    client: Client,
}

impl Weather {
    fn new(base: &str, transport: Client) -> Result<Self, BoxError> {
        let backoff = Backoff::constant(Duration::from_secs(1)).jitter(Jitter::None);
        let stack = ServiceBuilder::new()
            .layer(CallTimeoutLayer::try_new(Duration::from_secs(30))?)
            .layer(RetryLayer::builder().attempts(3).backoff(backoff).build()?)
            .layer(BaseUrlLayer::try_new(base)?)
            .service(transport);
        Ok(Self {
            client: Client::from_service(stack),
        })
    }

    async fn today(&self, city: &str) -> Result<String, Error> {
        let request = self.client.get("/today").query([("city", city)]);
        request
            .bearer("s3cret")
            .send()
            .await?
            .error_for_status()?
            .text()
            .await
    }
}
// ANCHOR_END: code

fn main() -> Result<(), BoxError> {
    // A test says `#[tokio::test(start_paused = true)]`.
    let mut paused = Builder::new_current_thread();
    paused.enable_all().start_paused(true);
    paused.build()?.block_on(scripted())?;
    paused.build()?.block_on(faults())?;
    // Time that stands still and sockets do not go together.
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(recorded())
}

// ANCHOR: scripted
async fn scripted() -> Result<(), BoxError> {
    let (transport, mock) = MockTransport::new();
    mock.on(Route::get("/v1/today").query("city", "Oslo"))
        .expect(3)
        .replies([
            Answer::fail(ProbeError::new("connection reset")),
            Answer::status(503).header("retry-after", "7"),
            Answer::new(200, "snow").after(Duration::from_secs(2)),
        ]);

    let started = Instant::now();
    let weather = Weather::new(BASE, Client::from_service(transport))?;
    println!("Oslo: {}", weather.today("Oslo").await?);
    // Its own second, the seven that it was asked for, and the two of the answer; none of them was waited for.
    assert_eq!(started.elapsed(), Duration::from_secs(1 + 7 + 2));

    let last = mock.requests().pop().ok_or("three were sent")?;
    println!("asked for {}", last.uri());
    // Dropping it panics, unless there were three.
    drop(mock);
    Ok(())
}
// ANCHOR_END: scripted

// ANCHOR: faults
async fn faults() -> Result<(), BoxError> {
    let (transport, mock) = MockTransport::new();
    mock.on(Route::any("*")).reply(Answer::new(200, "sun"));
    let faults = FaultLayer::new();
    let weather = Weather::new(BASE, Client::from_service(faults.layer(transport)))?;

    // The first attempt is refused, the second is answered.
    faults.push(Fault::before(ProbeError::new("refused")));
    println!("Rome: {}", weather.today("Rome").await?);

    // The answer breaks off in the middle.
    faults.push(Fault::cut_body(2));
    let error = weather.today("Rome").await.expect_err("two of three bytes");
    println!("cut: body {}", error.is_body());

    // Nothing ever comes: what ends it is the time limit, and no time passes.
    faults.push(Fault::hang());
    let error = weather.today("Rome").await.expect_err("there is no answer");
    println!("hung: timeout {}", error.is_timeout());
    assert_eq!(faults.left(), 0);
    Ok(())
}
// ANCHOR_END: faults

// ANCHOR: recorded
async fn recorded() -> Result<(), BoxError> {
    // A real peer: here one on a socket of this machine.
    let server = Loopback::start(|_| async { http::Response::new(Body::from("fog")) }).await;
    let file = std::env::temp_dir().join(format!("bartizan-mocks-{}.jsonl", std::process::id()));

    // Once, by hand.
    let recorder = RecorderLayer::create(&file)?;
    let transport = Client::from_service(recorder.layer(Transport::new()));
    let weather = Weather::new(&server.uri("/v1").to_string(), transport)?;
    println!("Bern: {}", weather.today("Bern").await?);
    println!("recorded: {}", recorder.finish()?);
    let text = std::fs::read_to_string(&file)?;
    println!("with the secret: {}", text.contains("s3cret"));

    // Ever after, without the peer.
    let replayer = Replayer::open(&file)?.any_host();
    let weather = Weather::new(BASE, Client::from_service(replayer.clone()))?;
    println!("Bern again: {}", weather.today("Bern").await?);
    replayer.assert_all_used();
    std::fs::remove_file(&file)?;
    Ok(())
}
// ANCHOR_END: recorded
