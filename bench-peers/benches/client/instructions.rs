//! How many instructions and allocations requests take.

use std::{
    collections::HashMap,
    fs,
    process::{Command, Stdio},
};

use bartizan_client::Protocol;

use crate::{
    PROTOCOLS,
    contenders::{
        BoxError, FULL, LEGACY, Legacy, OurFull, OurTransport, RAW, REQWEST, Raw, Reqwest,
        TRANSPORT,
    },
    load::{Asked, Load, run},
    runtime,
    serve::Process,
};

/// What is asked, by how many at once, and how often.
const LOADS: [(Load, usize, u64); 3] = [
    (Load::Small, 50, 2_000),
    (Load::Download, 4, 100),
    (Load::Upload, 4, 100),
];

pub(crate) fn table() -> Result<(), BoxError> {
    println!(
        "| protocol | load | in flight | contender | instructions | to raw hyper | allocations |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, _) in PROTOCOLS {
        for (load, in_flight, requests) in LOADS {
            let mut raw = None;
            for contender in [RAW, LEGACY, REQWEST, TRANSPORT, FULL] {
                let run = |requests: u64| callgrind(contender, name, load, in_flight, requests);
                let (once, twice) = (run(requests)?, run(2 * requests)?);
                let [instructions, allocations] =
                    [0, 1].map(|at| twice[at].saturating_sub(once[at]) as f64 / requests as f64);
                let raw = *raw.get_or_insert(instructions);
                println!(
                    "| {name} | {load} | {in_flight} | {contender} | {instructions:.0} | {:.2} | {allocations:.1} |",
                    instructions / raw,
                );
            }
        }
    }
    Ok(())
}

/// Instructions and allocations of a process that sends so many requests.
fn callgrind(
    contender: &str,
    protocol: &str,
    load: Load,
    in_flight: usize,
    requests: u64,
) -> Result<[u64; 2], BoxError> {
    let path = std::env::temp_dir().join(format!("bartizan-callgrind-{}", std::process::id()));
    let status = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", path.display()))
        .arg(std::env::current_exe()?)
        .args(["count", contender, protocol, load.name()])
        .args([in_flight.to_string(), requests.to_string()])
        .stderr(Stdio::null())
        .status()?;
    let profile = fs::read_to_string(&path);
    let _ = fs::remove_file(&path);
    if !status.success() {
        return Err(format!("{contender} under valgrind: {status}").into());
    }
    figures(&profile?).ok_or_else(|| "not what callgrind writes".into())
}

/// All instructions, and all calls of what allocates, of a profile in callgrind's format.
fn figures(profile: &str) -> Option<[u64; 2]> {
    let mut instructions = None;
    let mut allocations = 0;
    // A name is written once, and is a number afterwards.
    let mut names = HashMap::new();
    let mut called = "";
    for line in profile.lines() {
        let (key, value) = line.split_once(['=', ':']).unwrap_or_default();
        match key {
            "fn" | "cfn" => {
                let (id, name) = value.split_once(' ').unwrap_or((value, ""));
                called = match name {
                    "" => names.get(id).copied().unwrap_or_default(),
                    name => names.entry(id).or_insert(name),
                };
            }
            "calls" if ["malloc", "calloc", "realloc", "posix_memalign"].contains(&called) => {
                allocations += value.split(' ').next()?.parse::<u64>().ok()?;
            }
            "totals" => instructions = value.trim().parse().ok(),
            _ => {}
        }
    }
    Some([instructions?, allocations])
}

/// Runs one contender, and nothing else in this process.
pub(crate) fn count(
    who: &str,
    protocol: Protocol,
    load: Load,
    in_flight: usize,
    requests: usize,
) -> Result<(), BoxError> {
    let server = Process::start()?;
    let asked = Asked::new(load, &server.uri)?;
    runtime()?.block_on(async {
        match who {
            RAW => {
                let raw = Raw::connect(protocol, &asked.uri, in_flight).await?;
                run(&raw, &asked, in_flight, requests).await
            }
            LEGACY => run(&Legacy::new(protocol), &asked, in_flight, requests).await,
            REQWEST => run(&Reqwest::new(protocol)?, &asked, in_flight, requests).await,
            TRANSPORT => run(&OurTransport::new(protocol)?, &asked, in_flight, requests).await,
            FULL => run(&OurFull::new(protocol)?, &asked, in_flight, requests).await,
            other => Err(format!("no contender `{other}`").into()),
        }
    })?;
    Ok(())
}
