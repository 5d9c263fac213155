//! What balancing does for callers, by simulation: `cargo bench -p bartizan-bench --bench balance`.
//!
//! Time is simulated and seeded, so the table is the same on every machine. The tests of `bartizan-resilience` assert it.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

#[path = "../../crates/resilience/tests/it/balance_sim.rs"]
mod balance_sim;

use std::time::Duration;

use balance_sim::{FAILING, Outcome, SLOW, STUCK, run};
use bartizan_resilience::balance::{LeastRequest, PeakEwma, RoundRobin};

const SEED: u64 = 1;

fn main() {
    for scenario in [STUCK, SLOW, FAILING] {
        println!("\n{}", scenario.name);
        println!(
            "{:<20} {:>10} {:>10} {:>10} {:>10}",
            "", "p99", "p99.9", "within 1 s", "errors"
        );
        print("peak EWMA", &run(&scenario, SEED, PeakEwma::new));
        print("least request", &run(&scenario, SEED, LeastRequest::new));
        print("round robin", &run(&scenario, SEED, RoundRobin::new));
    }
}

fn print(picker: &str, outcome: &Outcome) {
    println!(
        "{picker:<20} {:>10} {:>10} {:>9.3}% {:>9.3}%",
        format!("{:?}", outcome.quantile(0.99)),
        format!("{:?}", outcome.quantile(0.999)),
        outcome.within(Duration::from_secs(1)) * 100.0,
        outcome.error_share() * 100.0,
    );
}
