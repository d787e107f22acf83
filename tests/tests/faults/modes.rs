//! `docs/failure-modes.md` names a test for each fault; each of them exists.

use std::collections::BTreeSet;
use std::path::Path;

use gateway_tests::harness::workspace;

#[test]
fn every_failure_mode_names_a_test() {
    let document = std::fs::read_to_string(workspace().join("docs/failure-modes.md")).unwrap();
    let mut known = BTreeSet::new();
    collect(&workspace().join("tests/tests"), "", &mut known);
    let mut rows = 0;
    for line in document.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{line}");
        if cells[0] == "fault" {
            continue;
        }
        rows += 1;
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
        for name in cells[5].split(", ") {
            let name = name.trim_matches('`');
            assert!(known.contains(name), "no such test: {name}");
        }
    }
    assert!(rows > 30, "only {rows} rows were found");
    // This file's own tests are all in it: a new fault needs a row.
    for name in known.iter().filter(|name| name.starts_with("faults::")) {
        let listed = document.contains(&format!("`{name}`"));
        assert!(
            listed || name.ends_with("every_failure_mode_names_a_test"),
            "{name} has no row"
        );
    }
}

/// Every test below a directory, as `SUITE::NAME`.
fn collect(directory: &Path, suite: &str, known: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let suite = if suite.is_empty() { stem } else { suite };
        if path.is_dir() {
            collect(&path, suite, known);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for rest in text.split("#[test]\n").skip(1) {
                let name = rest.trim_start().strip_prefix("fn ").unwrap_or_default();
                let name = name.split('(').next().unwrap_or_default();
                known.insert(format!("{suite}::{name}"));
            }
        }
    }
}
