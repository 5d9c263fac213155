//! What the RFCs ask of a server, case by case, of the listener and of bare hyper.
//!
//! The listener has to be right wherever hyper is. Where neither is, the case is in a list, which a case that is put right leaves.

#![expect(clippy::print_stdout, reason = "where the two differ is worth reading")]

mod http1;
mod http2;

use std::{fmt, future::Future, net::SocketAddr};

use crate::{contenders::Contenders, support::within};

/// What is sent, and what may come of it.
trait Case {
    type Reaction: fmt::Display;

    /// The section of the RFC, and what is sent.
    fn title(&self) -> String;

    /// What the server there does about it.
    fn try_on(&self, addr: SocketAddr) -> impl Future<Output = Self::Reaction>;

    fn verdict(&self, reaction: &Self::Reaction) -> Verdict;
}

/// What came of one case.
struct Found {
    case: String,
    /// Ours first, as everywhere.
    reactions: [String; 2],
    verdicts: [Verdict; 2],
}

/// The better, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// What was to be refused was taken, or the other way round.
    Wrong,
    /// It is an error, and is called another.
    OtherCode,
    Right,
}

impl Found {
    /// What comes of each case.
    async fn of<C: Case>(cases: impl IntoIterator<Item = Vec<C>>) -> Vec<Self> {
        let contenders = Contenders::start().await;
        let [ours, hyper] = contenders.addrs();
        let mut found = Vec::new();
        for case in cases.into_iter().flatten() {
            let reactions = [
                within(case.try_on(ours)).await,
                within(case.try_on(hyper)).await,
            ];
            found.push(Self {
                case: case.title(),
                verdicts: reactions.each_ref().map(|reaction| case.verdict(reaction)),
                reactions: reactions.map(|reaction| reaction.to_string()),
            });
        }
        contenders.shutdown().await;
        found
    }

    fn row(&self) -> Vec<String> {
        let [ours, hyper] = self.reactions.clone();
        vec![self.case.clone(), ours, hyper]
    }
}

/// Fails unless the listener is no worse than hyper anywhere, and not right in exactly these cases.
fn judge(found: &[Found], wrong: &[&str], other_code: &[&str]) {
    let [ours, hypers] = [0, 1].map(|at| {
        let right = found
            .iter()
            .filter(|found| found.verdicts[at] == Verdict::Right);
        right.count()
    });
    println!(
        "{} cases: right are {ours}, and {hypers} of hyper's",
        found.len()
    );
    let those = |verdict| {
        let those = found
            .iter()
            .filter(move |found| found.verdicts[0] == verdict);
        those.map(|found| found.case.as_str())
    };
    for found in found {
        let [ours, hyper] = found.verdicts;
        if ours != Verdict::Right || ours != hyper {
            println!("{}, {ours:?} and {hyper:?}", found.row().join(" | "));
        }
    }
    let worse = found
        .iter()
        .filter(|found| found.verdicts[0] < found.verdicts[1]);
    assert_eq!(worse.map(Found::row).collect::<Vec<_>>(), [[""; 3]; 0]);
    assert_eq!(those(Verdict::Wrong).collect::<Vec<_>>(), wrong);
    assert_eq!(those(Verdict::OtherCode).collect::<Vec<_>>(), other_code);
}
