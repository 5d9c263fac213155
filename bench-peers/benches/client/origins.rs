//! How much memory it takes to know many origins.

use std::{net::Ipv4Addr, process::Command};

use bartizan_bench_peers::memory;
use bartizan_client::Protocol;

use crate::{
    contenders::{
        BoxError, Client, FULL, LEGACY, Legacy, OurFull, OurTransport, RAW, REQWEST, Raw, Reqwest,
        TRANSPORT,
    },
    load::{Asked, Load},
    runtime,
    serve::Process,
};

pub(crate) fn table(count: u32) -> Result<(), BoxError> {
    println!("| contender | origins with an idle connection | bytes for each |");
    println!("|---|---|---|");
    for contender in [RAW, LEGACY, REQWEST, TRANSPORT, FULL] {
        let output = Command::new(std::env::current_exe()?)
            .args(["origins-of", contender, &count.to_string()])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let bytes = String::from_utf8(output.stdout)?;
        println!("| {contender} | {count} | {} |", bytes.trim());
    }
    Ok(())
}

/// Tells by how much this process grows for each origin.
pub(crate) fn of(who: &str, count: u32) -> Result<(), BoxError> {
    let server = Process::start()?;
    let protocol = Protocol::Http1;
    let grown = runtime()?.block_on(async {
        match who {
            RAW => {
                let mut kept = Vec::with_capacity(count as usize);
                raw(&server, 0..=count / 100, &mut kept).await?;
                kept.clear();
                let before = memory("self")?;
                raw(&server, 0..=count - 1, &mut kept).await?;
                Ok(memory("self")?.saturating_sub(before))
            }
            LEGACY => grown(&Legacy::new(protocol), &server, count).await,
            REQWEST => grown(&Reqwest::new(protocol)?, &server, count).await,
            TRANSPORT => grown(&OurTransport::new(protocol)?, &server, count).await,
            FULL => grown(&OurFull::new(protocol)?, &server, count).await,
            other => Err(format!("no contender `{other}`").into()),
        }
    })?;
    println!("{}", grown / u64::from(count));
    Ok(())
}

async fn grown(client: &impl Client, server: &Process, count: u32) -> Result<u64, BoxError> {
    let visit = |origins: std::ops::RangeInclusive<u32>| async {
        for origin in origins {
            client.call(0, &asked(server, origin)?).await?;
        }
        Ok::<_, BoxError>(())
    };
    // What the first ones make it allocate is not theirs.
    visit(count..=count + count / 100).await?;
    let before = memory("self")?;
    visit(0..=count - 1).await?;
    Ok(memory("self")?.saturating_sub(before))
}

async fn raw(
    server: &Process,
    origins: std::ops::RangeInclusive<u32>,
    kept: &mut Vec<Raw>,
) -> Result<(), BoxError> {
    for origin in origins {
        let asked = asked(server, origin)?;
        let raw = Raw::connect(Protocol::Http1, &asked.uri, 1).await?;
        raw.call(0, &asked).await?;
        kept.push(raw);
    }
    Ok(())
}

/// The server by one of its many addresses.
fn asked(server: &Process, origin: u32) -> Result<Asked, BoxError> {
    // From 127.1.0.0 on.
    let address = Ipv4Addr::from_bits(0x7f01_0000 + origin).to_string();
    Asked::new(Load::Small, &server.uri.replace("127.0.0.1", &address))
}
