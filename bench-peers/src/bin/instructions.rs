//! What a request costs a server in instructions and in allocations: `instructions [hyper bartizan …]`.
//!
//! Times differ with what else the machine does, and these hardly. Each contender serves a number of requests under valgrind, and then
//! twice as many: what the second run took more is that of the requests, and of nothing else. What the kernel does is not in it. There are
//! four connections, over HTTP/2 with ten requests at a time on each.
//!
//! Needs Debian's `valgrind` and `nghttp2-client`, and takes a minute or two. Build it with `--no-default-features`: actix changes what the
//! others are compiled with. `PROFILES` names a directory that gets callgrind's
//! profiles, for `callgrind_annotate`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use bartizan_bench_peers::Server;

const CONTENDERS: [&str; 4] = ["hyper", "bartizan", "axum", "bartizan-axum"];
const REQUESTS: u64 = 4000;

/// What some requests took.
#[derive(Clone, Copy)]
struct Cost {
    instructions: f64,
    allocations: f64,
    bytes: f64,
}

fn main() -> io::Result<()> {
    let mut contenders: Vec<String> = std::env::args().skip(1).collect();
    if contenders.is_empty() {
        contenders = CONTENDERS.map(Into::into).to_vec();
    }
    let serve = match std::env::var_os("SERVE") {
        Some(serve) => serve.into(),
        None => std::env::current_exe()?.with_file_name("serve"),
    };
    println!("| protocol | contender | instructions | to the first | allocations | their bytes |");
    println!("|---|---|---|---|---|---|");
    for (protocol, options) in [("HTTP/1.1", &["--h1", "-m1"][..]), ("HTTP/2", &["-m10"])] {
        let mut first = None;
        for contender in &contenders {
            let cost = cost(&serve, contender, options)?;
            let first = *first.get_or_insert(cost.instructions);
            println!(
                "| {protocol} | {contender} | {:.0} | {:.3} | {:.1} | {:.0} |",
                cost.instructions,
                cost.instructions / first,
                cost.allocations,
                cost.bytes,
            );
        }
    }
    Ok(())
}

/// Of one request.
fn cost(serve: &Path, contender: &str, options: &[&str]) -> io::Result<Cost> {
    let kept: Option<PathBuf> = std::env::var_os("PROFILES").map(Into::into);
    let files = kept.clone().unwrap_or_else(std::env::temp_dir);
    let name = format!("bartizan-{contender}{}", options[0]);
    let run = |tool: &str, line: &str, requests: u64| {
        let file = files.join(format!("{name}-{requests}.{tool}"));
        watched(serve, contender, tool, &file, requests, options)?;
        let text = fs::read_to_string(&file)?;
        if kept.is_none() {
            fs::remove_file(&file)?;
        }
        Ok::<_, io::Error>(numbers(&text, line))
    };
    let more = |tool: &str, line: &str| {
        let (once, twice) = (run(tool, line, REQUESTS)?, run(tool, line, 2 * REQUESTS)?);
        let more = twice.iter().zip(&once);
        let more: Vec<f64> = more
            .map(|(twice, once)| (twice - once) / REQUESTS as f64)
            .collect();
        Ok::<_, io::Error>(more)
    };
    let not_understood = || io::Error::other("valgrind says something else");
    let instructions = more("callgrind", "totals: ")?;
    let heap = more("memcheck", "total heap usage: ")?;
    // "123 allocs, 123 frees, 1,234 bytes allocated"
    let [allocations, _, bytes] = heap[..] else {
        return Err(not_understood());
    };
    Ok(Cost {
        instructions: *instructions.first().ok_or_else(not_understood)?,
        allocations,
        bytes,
    })
}

/// Serves so many requests under a tool of valgrind's, which writes to `file`.
fn watched(
    serve: &Path,
    contender: &str,
    tool: &str,
    file: &Path,
    requests: u64,
    options: &[&str],
) -> io::Result<()> {
    let into = match tool {
        "callgrind" => "--callgrind-out-file",
        _ => "--log-file",
    };
    let server = Server::run(
        Command::new("valgrind")
            .arg(format!("--tool={tool}"))
            .arg(format!("{into}={}", file.display()))
            .args((tool == "callgrind").then_some("-q"))
            .args((tool == "memcheck").then_some("--undef-value-errors=no"))
            .arg(serve)
            .arg(contender),
    )?;
    let output = Command::new("h2load")
        .args(["-t1", "-c4", &format!("-n{requests}")])
        .args(options)
        .arg(format!("http://{}/", server.h1))
        .output()?;
    server.stop()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains(&format!(" {requests} succeeded")) {
        return Err(io::Error::other(said));
    }
    Ok(())
}

/// Those in the line with `mark`.
fn numbers(text: &str, mark: &str) -> Vec<f64> {
    let line = text.lines().find(|line| line.contains(mark));
    let words = line.unwrap_or_default().split_whitespace();
    words
        .filter_map(|word| word.replace(',', "").parse().ok())
        .collect()
}
