//! Lists of revoked certificates.

mod issuers;
mod large;
mod parts;
mod refused;
mod times;
mod verdicts;

use bartizan_testing::ManualClock;
use bartizan_tls::revocation::{CrlIndex, CrlPlace, Method, Refusal, Revocation, Verdict};

use super::pki::{Ca, now, provider};

/// An index that knows `ca`, at the time of the tests.
fn index(ca: &Ca) -> CrlIndex {
    let index = CrlIndex::new(&provider()).with_clock(ManualClock::at(now()));
    index.add_issuers([&ca.der]).expect("a certificate");
    index
}

fn engine(index: &CrlIndex) -> Revocation {
    let builder = Revocation::of_clients(&provider()).crls(index.clone());
    builder.build().expect("an engine")
}

fn added(index: &CrlIndex, list: Vec<u8>) -> CrlPlace {
    let mut added = index.add(list);
    assert_eq!(added.len(), 1);
    added.remove(0).expect("a list").place
}

fn is_good(verdict: &Result<Verdict, Refusal>) -> bool {
    matches!(verdict, Ok(Verdict::Good(evidence)) if evidence.iter().all(|one| one.method == Method::Crl))
}
