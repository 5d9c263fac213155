//! Tests that this machine cannot run.

use std::io::{self, Write as _};

/// Says on the terminal that a test, or a part of one, was skipped, and why: a program is not installed, a protocol not spoken here.
///
/// The line begins with `SKIPPED` and is written past the capture of the test harness, so that it is seen of tests that pass, and that
/// continuous integration can fail on it.
///
/// ```
/// bartizan_testing::skipped("proxies of others", "tinyproxy is not installed");
/// ```
pub fn skipped(test: &str, why: &str) {
    // In one write, so that lines of parallel tests do not mix. If there is no terminal, nobody is to be told.
    let _ = io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes());
}
