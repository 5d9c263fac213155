//! Our listener beside its peers, in one run: `cargo bench --bench listener`, from `bench-peers/`.
//!
//! Each contender is a process with one thread, loaded by `wrk` over HTTP/1.1 and by `h2load` over HTTP/2 with 64 connections over
//! loopback, HTTP/2 with ten requests at a time on each. The contenders take turns in every round, so that a machine whose speed drifts is
//! as unfair to one as to the others. The CPU that the server spends on a request does not depend on what else runs on the machine as much
//! as the requests per second do: both are told, and the ratio of each is the median of the ratios within a round. `ROUNDS` says
//! how many rounds, each of which takes 10 s. `THREADS` gives those on tokio as many threads, which share the cores with the load.

use std::{io, path::Path, process::Command, time::Duration};

use bartizan_bench_peers::{Server, median};

const CONTENDERS: [&str; 6] = [
    "hyper",
    "bartizan",
    "axum",
    "bartizan-axum",
    "actix",
    "nginx",
];
/// The whole takes less than three minutes.
const ROUNDS: usize = 15;
const SECONDS: u64 = 1;
const CONNECTIONS: u32 = 64;

/// What a contender did in a round.
struct Sample {
    per_second: f64,
    cpu: Duration,
    p99: Duration,
}

fn main() -> io::Result<()> {
    let rounds = std::env::var("ROUNDS").map_or(Ok(ROUNDS), |rounds| rounds.parse());
    let rounds = rounds.map_err(io::Error::other)?;
    let serve = std::env::var("SERVE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_serve").into());
    let mut servers = Vec::new();
    for contender in CONTENDERS {
        match Server::start(Path::new(&serve), contender) {
            Ok(server) => servers.push((contender, server)),
            // Not installed, most likely.
            Err(error) => println!("Without {contender}: {error}."),
        }
    }
    println!(
        "| protocol | contender | requests/s | to hyper | CPU µs per request | hyper's to it | p99 ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (protocol, load) in [
        ("HTTP/1.1", wrk as fn(&Server) -> io::Result<Sample>),
        ("HTTP/2", h2load),
    ] {
        for (_, server) in &servers {
            load(server)?;
        }
        let mut samples: Vec<Vec<Sample>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for ((_, server), samples) in servers.iter().zip(&mut samples) {
                samples.push(load(server)?);
            }
        }
        for ((contender, _), own) in servers.iter().zip(&samples) {
            let beside = || own.iter().zip(&samples[0]);
            println!(
                "| {protocol} | {contender} | {:.0} | {:.3} | {:.2} | {:.3} | {:.2} |",
                median(own.iter().map(|it| it.per_second)),
                median(beside().map(|(it, hyper)| it.per_second / hyper.per_second)),
                median(own.iter().map(|it| it.cpu.as_secs_f64() * 1e6)),
                median(beside().map(|(it, hyper)| hyper.cpu.as_secs_f64() / it.cpu.as_secs_f64())),
                median(own.iter().map(|it| it.p99.as_secs_f64() * 1e3)),
            );
        }
    }
    Ok(())
}

fn wrk(server: &Server) -> io::Result<Sample> {
    let before = server.cpu()?;
    let text = output(
        Command::new("wrk")
            .args([
                "-t1",
                "--latency",
                &format!("-c{CONNECTIONS}"),
                &format!("-d{SECONDS}s"),
            ])
            .arg(format!("http://{}/", server.h1)),
    )?;
    let cpu = server.cpu()? - before;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(io::Error::other(text));
    }
    let read = || {
        let done: f64 = word(&text, |line| line.contains(" requests in "), 0)?
            .parse()
            .ok()?;
        Some(Sample {
            per_second: word(&text, |line| line.starts_with("Requests/sec:"), 1)?
                .parse()
                .ok()?,
            cpu: cpu.div_f64(done),
            p99: duration(word(&text, |line| line.trim_start().starts_with("99%"), 1)?)?,
        })
    };
    read().ok_or_else(|| io::Error::other(format!("not understood: {text}")))
}

fn h2load(server: &Server) -> io::Result<Sample> {
    let log = std::env::temp_dir().join(format!("bartizan-h2load-{}", std::process::id()));
    let before = server.cpu()?;
    let text = output(
        Command::new("h2load")
            .args([
                "-t1",
                "-m10",
                &format!("-c{CONNECTIONS}"),
                &format!("-D{SECONDS}"),
            ])
            .arg(format!("--log-file={}", log.display()))
            .arg(format!("http://{}/", server.h2)),
    )?;
    let cpu = server.cpu()? - before;
    let times = std::fs::read_to_string(&log);
    let _ = std::fs::remove_file(&log);
    let mut times: Vec<u64> = times?
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok())
        .collect();
    times.sort_unstable();
    let read = || {
        // "requests: 1 total, 1 started, 1 done, 1 succeeded, 0 failed, …"
        let is_of_requests = |line: &str| line.starts_with("requests:");
        let done: f64 = word(&text, is_of_requests, 5)?.parse().ok()?;
        if word(&text, is_of_requests, 9)? != "0" || done == 0.0 {
            return None;
        }
        Some(Sample {
            per_second: done / SECONDS as f64,
            cpu: cpu.div_f64(done),
            p99: Duration::from_micros(*times.get(times.len() * 99 / 100)?),
        })
    };
    read().ok_or_else(|| io::Error::other(format!("not understood, or failed: {text}")))
}

fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{command:?}: {output:?}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn word(text: &str, line: impl Fn(&str) -> bool, nth: usize) -> Option<&str> {
    text.lines()
        .find(|it| line(it))?
        .split_whitespace()
        .nth(nth)
}

/// As wrk writes it: `1.23ms`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic)?);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return None,
    };
    Some(Duration::from_secs_f64(seconds))
}
