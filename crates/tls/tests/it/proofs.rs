//! What the README says of these tests.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_readme_names_is_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let readme = fs::read_to_string(tests.join("README.md")).unwrap();
    let module = |path: &str| {
        let path = tests.join("it").join(path.replace("::", "/"));
        let files = [path.with_extension("rs"), path.join("mod.rs")];
        files.iter().find_map(|file| fs::read_to_string(file).ok())
    };
    let mut named = 0;
    for code in readme.split('`').skip(1).step_by(2) {
        let Some((parent, name)) = code.rsplit_once("::") else {
            continue;
        };
        // Those of a module's own are beside its code.
        if parent.ends_with("::tests") {
            continue;
        }
        let is_test = module(parent).is_some_and(|text| match name.strip_suffix('…') {
            Some(beginning) => text.contains(&format!("fn {beginning}")),
            None => text.contains(&format!("fn {name}(")),
        });
        assert!(is_test || module(code).is_some(), "there is no `{code}`");
        named += 1;
    }
    assert_eq!(named, 43);
}
