//! `docs/connect-gateway.toml` is the reference: it must load, and its defaults must be true.

use std::path::Path;

use crate::support::Directory;

#[test]
fn every_documented_default_is_the_default() {
    let directory = Directory::new();
    let text = documented();
    let whole = format!("{:?}", directory.load(&text).unwrap());
    let mut defaults = 0;
    for (number, line) in text.lines().enumerate() {
        let Some((key, comment)) = assignment(line) else {
            continue;
        };
        let without = without_line(&text, number);
        if comment.starts_with("mandatory") {
            let faults = directory.faults(&without);
            let named = faults
                .iter()
                .any(|fault| fault.contains(key) && fault.contains("missing"));
            assert!(named, "{line}\n{faults:#?}");
        } else {
            let config = format!("{:?}", directory.load(&without).expect(line));
            assert_eq!(without_places(&config), without_places(&whole), "{line}");
            defaults += 1;
        }
    }
    // So that a change in the layout of the reference cannot empty this test.
    assert_eq!(defaults, 43);
}

#[test]
fn every_documented_default_is_compared() {
    // The comparison above would see a default that differs.
    let directory = Directory::new();
    let text = documented();
    let whole = format!("{:?}", directory.load(&text).unwrap());
    for (from, to) in [
        ("drain = \"30s\"", "drain = \"31s\""),
        ("failures_per_account = 10", "failures_per_account = 11"),
        ("bearer = false", "bearer = true"),
        (
            "spoofed_headers = \"strip\"",
            "spoofed_headers = \"reject\"",
        ),
        ("trusted_proxies = []", "trusted_proxies = [\"10.0.0.7\"]"),
    ] {
        assert!(text.contains(from), "{from}");
        let config = format!("{:?}", directory.load(&text.replacen(from, to, 1)).unwrap());
        assert_ne!(without_places(&config), without_places(&whole), "{from}");
    }
}

/// The reference, with its paths replaced by those of the test's files.
fn documented() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/connect-gateway.toml");
    let text = std::fs::read_to_string(path).unwrap();
    [
        ("/etc/connect-gateway/tls/chain.pem", "chain.pem"),
        ("/etc/connect-gateway/tls/key.pem", "pkcs8.key"),
        ("/etc/connect-gateway/users", "users"),
    ]
    .iter()
    .fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// The key of a line, and what its comment says.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(" = ")?;
    let is_key = key
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let (_, comment) = rest.split_once('#')?;
    is_key.then_some((key, comment.trim()))
}

/// Leaves an empty line, so that the others keep their numbers.
fn without_line(text: &str, number: usize) -> String {
    let lines = text.lines().enumerate();
    let lines: Vec<&str> = lines
        .map(|(index, line)| if index == number { "" } else { line })
        .collect();
    lines.join("\n")
}

/// A key that is not written stands at its table's line.
fn without_places(debug: &str) -> String {
    let parts = debug.split("line: ");
    let parts: Vec<&str> = parts
        .map(|part| part.trim_start_matches(|character: char| character.is_ascii_digit()))
        .collect();
    parts.join("")
}
