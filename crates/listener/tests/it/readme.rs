//! The tables of `tests/README.md` are what the tests found.

use std::fmt::Write as _;

/// Read when the test runs, so that writing it builds nothing.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/README.md");

/// Fails unless the table of that name is this one, whose last two columns are the listener and bare hyper. What it should be is on the terminal then.
pub(crate) fn table(name: &str, heads: &[&str], rows: impl FnOnce() -> Vec<Vec<String>>) {
    let mut table = String::new();
    let mut line = |cells: &[String]| {
        writeln!(table, "| {} |", cells.join(" | ")).expect("memory");
    };
    line(&heads.iter().map(ToString::to_string).collect::<Vec<_>>());
    line(&vec!["---".to_owned(); heads.len()]);
    for mut row in rows() {
        if let [.., ours, hyper] = &mut row[..] {
            if ours == hyper {
                "the same".clone_into(hyper);
            }
        }
        let cells = row.iter().map(|cell| cell.replace('|', "\\|"));
        line(&cells.collect::<Vec<_>>());
    }
    let begin = format!("<!-- {name} -->\n");
    let readme = std::fs::read_to_string(README).expect("it is in the repository");
    let written = readme
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once("<!-- end -->"));
    let (written, _) = written.expect("the README has a place for it");
    assert!(
        written == table,
        "tests/README.md, {name}, should be\n{begin}{table}<!-- end -->"
    );
}
