//! What the README says of these tests.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_readme_names_is_there() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let read = |file: &str| fs::read_to_string(directory.join(file)).expect(file);
    let mut named = 0;
    for line in read("README.md").lines() {
        let code: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let [.., file, test] = code[..] else { continue };
        if Path::new(file).extension().is_some_and(|it| it == "rs") && !test.contains('.') {
            let declared = format!("async fn {test}()");
            assert!(read(file).contains(&declared), "{file} has no `{test}`");
            named += 1;
        }
    }
    assert_eq!(named, 15);
}
