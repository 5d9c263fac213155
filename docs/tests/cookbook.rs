//! The cookbook holds together: every page is in the book and among the doctests, and every program in it exists.

use std::{fs, path::Path};

/// Every page, with its name.
fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    fs::read_dir(folder)
        .expect("the pages")
        .map(|entry| entry.expect("a page").path())
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy();
            let text = fs::read_to_string(&path).expect("text");
            (name.into_owned(), text)
        })
        .collect()
}

#[test]
fn every_page_is_in_the_book_and_in_the_doctests() {
    let summary = include_str!("../src/SUMMARY.md");
    let doctests = include_str!("../lib.rs");
    for (name, _) in pages() {
        if name != "SUMMARY.md" {
            assert!(
                summary.contains(&format!("]({name})")),
                "{name} is not in SUMMARY.md"
            );
            assert!(
                doctests.contains(&format!("\"src/{name}\"")),
                "{name} is not in lib.rs"
            );
        }
    }
}

#[test]
fn every_anchor_is_there() {
    let mut anchors = 0;
    for (name, text) in pages() {
        for include in text.split("{{#include ").skip(1) {
            let (target, _) = include.split_once("}}").expect("a closed include");
            let (file, anchor) = target.split_once(':').expect("a file and an anchor");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
            let program = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{name} includes {file}: {error}"));
            for marker in ["ANCHOR", "ANCHOR_END"] {
                let marker = format!("// {marker}: {anchor}\n");
                assert_eq!(
                    program.matches(&marker).count(),
                    1,
                    "{name}: {marker} in {file}"
                );
            }
            anchors += 1;
        }
    }
    assert!(anchors > 0, "the cookbook shows programs");
}

#[test]
fn every_link_between_pages_leads_to_one() {
    let pages = pages();
    for (name, text) in &pages {
        for link in text.split("](").skip(1) {
            let (target, _) = link.split_once(')').expect("a closed link");
            let page = target.split('#').next().unwrap_or_default();
            if page.ends_with(".md") && !page.contains('/') {
                assert!(
                    pages.iter().any(|(name, _)| name == page),
                    "{name} links to {page}"
                );
            }
        }
    }
}

#[test]
fn every_dependency_has_the_features_that_the_code_needs() {
    let mut pages = pages();
    pages.push((
        "README.md".to_owned(),
        include_str!("../../README.md").to_owned(),
    ));
    let mut dependencies = 0;
    for (name, text) in pages {
        let manifest = blocks(&text, &["toml"]);
        if manifest.is_empty() {
            continue;
        }
        dependencies += 1;
        let code = blocks(&text, &["rust", "rs"]);
        for feature in ["client", "listener", "resilience"] {
            let is_used = code.contains("bartizan::") && code.contains(&format!("{feature}::"));
            // `client-full` has `client` in it.
            let is_there = manifest.contains(&format!("\"{feature}\""))
                || manifest.contains(&format!("\"{feature}-full\""));
            assert!(
                !is_used || is_there,
                "{name} uses bartizan::{feature}, and its dependency has no feature \"{feature}\""
            );
        }
        let is_full = [
            "stack::full",
            "CookieLayer",
            "RedirectLayer",
            "DecompressionLayer",
        ]
        .iter()
        .any(|it| code.contains(it));
        assert!(
            !is_full || manifest.contains("\"client-full\""),
            "{name} uses more of the client than its dependency has: \"client-full\""
        );
    }
    assert!(dependencies > 0, "the cookbook shows dependencies");
}

/// What is in the blocks of these languages, and in the programs that they include parts of: those import what the parts use.
fn blocks(text: &str, languages: &[&str]) -> String {
    let mut contents = String::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (language, content) = block.split_once('\n').unwrap_or((block, ""));
        if !languages.contains(&language) {
            continue;
        }
        contents.push_str(content);
        for include in content.split("{{#include ").skip(1) {
            let (target, _) = include.split_once("}}").expect("a closed include");
            let (file, _) = target.split_once(':').expect("a file and an anchor");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
            contents.push_str(&fs::read_to_string(path).expect("a program"));
        }
    }
    contents
}

/// The public names of our crates, each with the file that declares it.
fn declarations() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push(fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let mut files = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    for name in ["client", "core", "resilience", "testing", "tls"] {
        walk(&crates.join(name).join("src"), &mut files);
    }
    let mut declarations = Vec::new();
    for file in files {
        for line in file.lines().map(str::trim_start) {
            // Methods of traits and variants of enums have no `pub`.
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("const ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let name = match words.next() {
                Some("fn" | "struct" | "enum" | "trait" | "mod" | "type") => words.next(),
                // A field, or a variant.
                Some(name) if line[name.len()..].starts_with([':', ',', '(']) => Some(name),
                _ => None,
            };
            if let Some(name) = name {
                declarations.push((name.to_owned(), file.clone()));
            }
        }
    }
    declarations
}

#[test]
fn every_name_of_ours_in_the_tables_exists() {
    let declarations = declarations();
    let declares = |name: &str| declarations.iter().any(|(declared, _)| declared == name);
    let mut checked = 0;
    for page in ["client-options.md", "options.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(page);
        let text = fs::read_to_string(path).expect("a page");
        let rows = text.lines().filter(|line| line.starts_with("| "));
        for row in rows {
            let ours = row.trim_end_matches('|').rsplit("| ").next();
            // Code stands between every other pair of backticks.
            for code in ours.unwrap_or_default().split('`').skip(1).step_by(2) {
                let path = code.split(['(', ' ', '.', '{']).next().unwrap_or_default();
                // A header, and no name of Rust.
                if path.contains('-') {
                    continue;
                }
                let names: Vec<&str> = path.split("::").collect();
                for name in &names {
                    let is_there = declares(name) || name.starts_with("bartizan_");
                    assert!(is_there, "{page}: there is no `{name}` in `{code}`");
                    checked += 1;
                }
                // What belongs to a type is declared where that is implemented.
                if let [.., owner, name] = &names[..] {
                    let is_owned = declarations.iter().any(|(declared, file)| {
                        let mentions = |what: &str| {
                            file.lines()
                                .any(|line| line.contains(what) && line.contains(owner))
                        };
                        declared == name
                            && (mentions("impl") || mentions("enum ") || mentions("struct "))
                    });
                    let is_module = owner.chars().next().is_some_and(char::is_lowercase);
                    assert!(is_owned || is_module, "{page}: `{owner}` has no `{name}`");
                }
            }
        }
    }
    assert!(checked > 200, "the tables have names: {checked}");
}
