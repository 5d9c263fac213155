//! Failover: three targets, of which one does not resolve, one never answers in time, and one is good.
//!
//! `cargo run --example failover` serves on 127.0.0.1:9090 until Ctrl-C, and says what to try. `--demo` tries it by itself. `--port`
//! listens elsewhere.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program, not a library"
)]

use std::{iter, process::ExitCode, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan::{
    client::{self, RequestExt, ResponseExt, Transport},
    core::{BoxError, ConfigError},
    listener::{BindError, Listener},
    resilience::{
        failover::{Exhausted, Failover, FailoverHandle, FailoverLayer, HttpPolicy, Report},
        timeout::{Timeout, TimeoutLayer},
    },
};
use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;

/// How long one target may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

// ANCHOR: stack
type Client = Failover<Timeout<Transport>, HttpPolicy>;

fn client(targets: [String; 3]) -> Result<(Client, FailoverHandle), ConfigError> {
    let failover = FailoverLayer::builder().targets(targets).build()?;
    let current = failover.handle();
    let client = ServiceBuilder::new()
        // Outermost, because it makes the attempts that the others work on.
        .layer(failover)
        // Within failover, so that each target has its own five seconds, and a slow one is left for the next.
        .layer(TimeoutLayer::new(ATTEMPT_TIMEOUT))
        // Innermost: connections, shared by all targets.
        .service(Transport::new());
    Ok((client, current))
}
// ANCHOR_END: stack

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut sources = iter::successors(error.source(), |&error| error.source());
            sources
                .by_ref()
                .for_each(|source| eprintln!("  because: {source}"));
            if error
                .downcast_ref::<BindError>()
                .is_some_and(BindError::is_in_use)
            {
                eprintln!("  `--port 0` takes one that is free");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BoxError> {
    // First, because the port may be taken.
    let front = Listener::bind(("127.0.0.1", args.port)).await?;
    let url = format!("http://{}/fo", front.local_addr());

    let slow = backend(Router::new().fallback(get(|| async {
        sleep(Duration::from_secs(30)).await;
        "Too late."
    })));
    let good = backend(Router::new().fallback(get(|| async { "Mock Resource is Invoked." })));
    let targets = [
        "http://nowhere.invalid".to_owned(),
        slow.await?,
        good.await?,
    ];
    for (i, target) in targets.iter().enumerate() {
        let what = ["does not resolve", "answers after 30 s", "is good"][i];
        println!("target {i}: {target} {what}");
    }

    let (client, current) = client(targets)?;
    let app = Router::new()
        .route("/fo", get(fo))
        .with_state((client, current));
    let handle = front.handle();
    let serving = front.shutdown_on_signals().serve(app);
    if args.demo {
        let serving = tokio::spawn(serving);
        demo(&url).await?;
        handle.shutdown();
        serving.await?;
    } else {
        println!("\ntry: curl -i {url}\n     again, and it answers at once. Ctrl-C ends.\n");
        let report = serving.await;
        println!(
            "drained: {} requests finished, {} were cut",
            report.drained, report.cut
        );
    }
    Ok(())
}

// ANCHOR: handler
/// Asks the targets, and says on the terminal what each did.
async fn fo(
    State((client, current)): State<(Client, FailoverHandle)>,
) -> Result<Response, Unanswered> {
    println!("GET /fo");
    let first = current.name().to_owned();
    let response = client.get("/fo").send().await?;
    match response.extensions().get::<Report>() {
        Some(report) => {
            for attempt in report.attempts() {
                println!("  {attempt}");
            }
        }
        None => println!("  {first}: answered first"),
    }
    // The answer of the target, not its connection headers: those belong to the connection they came by.
    Ok((response.status(), response.text().await?).into_response())
}
// ANCHOR_END: handler

// ANCHOR: error
/// No target answered, and this says why.
struct Unanswered(client::Error);

impl From<client::Error> for Unanswered {
    fn from(error: client::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        // What each target did is for the operator, not for the caller.
        match bartizan::core::find::<Exhausted>(&self.0) {
            Some(exhausted) => println!("  {exhausted}"),
            None => println!("  {}", self.0),
        }
        StatusCode::BAD_GATEWAY.into_response()
    }
}
// ANCHOR_END: error

/// Starts a mock backend on a free port, and says where.
async fn backend(app: Router) -> Result<String, BoxError> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr());
    tokio::spawn(listener.serve(app));
    Ok(url)
}

/// The two calls that show it: one that finds the good target, and one that knows it.
async fn demo(url: &str) -> Result<(), BoxError> {
    let client = Transport::new();
    for call in ["first", "second"] {
        println!("\n{call} call: GET {url}");
        let started = Instant::now();
        let response = client.get(url).send().await?.error_for_status()?;
        let text = response.text().await?;
        println!("{call} call: `{text}` after {:.1?}", started.elapsed());
        if text != "Mock Resource is Invoked." {
            return Err(format!("the {call} call was answered with `{text}`").into());
        }
    }
    Ok(())
}

const USAGE: &str = "\
usage: failover [--port PORT] [--demo]

  --port PORT  listen on 127.0.0.1:PORT, 0 for any that is free [default: 9090]
  --demo       make two calls, and end";

struct Args {
    port: u16,
    demo: bool,
}

impl Args {
    /// `None` if help is wanted.
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, ConfigError> {
        let mut parsed = Self {
            port: 9090,
            demo: false,
        };
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            match name {
                "--demo" => parsed.demo = true,
                "--port" => {
                    let port = value.or_else(|| args.next()).unwrap_or_default();
                    parsed.port = port
                        .parse()
                        .map_err(|_| ConfigError::new("--port", port, "a port from 0 to 65535"))?;
                }
                "--help" | "-h" => return Ok(None),
                _ => return Err(ConfigError::new("argument", arg, "--port or --demo")),
            }
        }
        Ok(Some(parsed))
    }
}
