//! How long requests take.

use bartizan_bench_peers::median;
use bartizan_client::Protocol;

use crate::{
    PROTOCOLS,
    contenders::{
        BoxError, FULL, LEGACY, Legacy, OurFull, OurTransport, RAW, REQWEST, Raw, Reqwest,
        TRANSPORT,
    },
    load::{Asked, Load, Took, run},
    runtime, serve,
};

const ROUNDS: usize = 15;

/// What is asked, by how many at once, and how often in a round.
const LOADS: [(Load, usize, usize); 4] = [
    (Load::Small, 1, 2_000),
    (Load::Small, 64, 4_000),
    (Load::Download, 4, 200),
    (Load::Upload, 4, 200),
];

const NAMES: [&str; 5] = [RAW, LEGACY, REQWEST, TRANSPORT, FULL];

pub(crate) fn table() -> Result<(), BoxError> {
    let server = serve::start()?;
    let runtime = runtime()?;
    println!(
        "| protocol | load | in flight | contender | µs | to raw hyper | µs of its processor | to raw hyper | to hyper-util's client | to reqwest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, protocol) in PROTOCOLS {
        for (load, in_flight, requests) in LOADS {
            let asked = Asked::new(load, &server)?;
            let rounds = runtime.block_on(compare(protocol, &asked, in_flight, requests))?;
            for (at, contender) in NAMES.into_iter().enumerate() {
                let median_of = |figure: fn(&Took) -> f64| {
                    median(rounds.iter().map(|round| figure(&round[at])))
                };
                let to = |other: usize, figure: fn(&Took) -> f64| {
                    median(
                        rounds
                            .iter()
                            .map(|round| figure(&round[at]) / figure(&round[other])),
                    )
                };
                println!(
                    "| {name} | {load} | {in_flight} | {contender} | {:.1} | {:.2} | {:.1} | {:.2} | {:.2} | {:.2} |",
                    median_of(time) / requests as f64,
                    to(0, time),
                    median_of(processor) / requests as f64,
                    to(0, processor),
                    to(1, processor),
                    to(2, processor),
                );
            }
        }
    }
    Ok(())
}

/// In microseconds.
fn time(took: &Took) -> f64 {
    took.time.as_secs_f64() * 1e6
}

fn processor(took: &Took) -> f64 {
    took.processor.as_secs_f64() * 1e6
}

/// What each contender took in each round.
async fn compare(
    protocol: Protocol,
    asked: &Asked,
    in_flight: usize,
    requests: usize,
) -> Result<Vec<[Took; NAMES.len()]>, BoxError> {
    let raw = Raw::connect(protocol, &asked.uri, in_flight).await?;
    let legacy = Legacy::new(protocol);
    let reqwest = Reqwest::new(protocol)?;
    let transport = OurTransport::new(protocol)?;
    let full = OurFull::new(protocol)?;
    let mut rounds = Vec::new();
    // The first round opens the connections and is not counted.
    for round in 0..=ROUNDS {
        let figures = [
            run(&raw, asked, in_flight, requests).await?,
            run(&legacy, asked, in_flight, requests).await?,
            run(&reqwest, asked, in_flight, requests).await?,
            run(&transport, asked, in_flight, requests).await?,
            run(&full, asked, in_flight, requests).await?,
        ];
        if round > 0 {
            rounds.push(figures);
        }
    }
    Ok(rounds)
}
