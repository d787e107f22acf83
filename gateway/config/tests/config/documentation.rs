//! `docs/connect-gateway.toml` is the reference: it must load, and its defaults must be true.

use std::path::Path;

use gateway_config::GuardException;

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
    assert_eq!(defaults, 60);
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

#[test]
fn every_documented_option_of_the_guard_is_accepted() {
    let directory = Directory::new();
    let text = documented();
    let (above, guard) = text.split_once("\n[guard]\n").unwrap();
    let text = format!("{above}\n[guard]\n{}", with_options(guard));
    // An exception names either a cgroup or a user.
    let (cgroup, uid) = ("\ncgroup = ", "\nuid = 1234");
    assert!(text.contains(cgroup) && text.contains(uid));
    let by_cgroup = text.replace(uid, "\n# uid = 1234");
    let by_uid = text.replace(cgroup, "\n# cgroup = ");
    let guard = directory.load(&by_cgroup).unwrap().guard.unwrap();
    let [local] = guard.locals.as_slice() else {
        panic!("{:?}", guard.locals);
    };
    assert_eq!((local.uid, local.run_as.as_slice()), (Some(0), &[997][..]));
    assert!(local.namespace.is_some());
    assert_eq!((guard.remotes.len(), guard.exceptions.len()), (1, 1));
    let guard = directory.load(&by_uid).unwrap().guard.unwrap();
    assert_eq!(guard.exceptions, [GuardException::Uid(1234)]);
    for (text, key) in [
        (
            by_cgroup.replace("\naddress = \"192", "\n# "),
            "guard.remote[0].address",
        ),
        (
            by_cgroup.replace(cgroup, "\n# "),
            "guard.exception[0].cgroup",
        ),
        (by_uid.replace("\nrun_as", "\n# "), "guard.local[0].run_as"),
    ] {
        let faults = directory.faults(&text);
        let [fault] = faults.as_slice() else {
            panic!("{faults:#?}");
        };
        assert!(fault.contains(key) && fault.contains("missing"), "{fault}");
    }
}

#[test]
fn every_accepted_key_is_documented() {
    let directory = Directory::new();
    let text = with_options(&documented());
    let lines: Vec<&str> = text.lines().collect();
    let tables = tables(&lines);
    let is_documented = |table: &str, key: &str| {
        let assignment = format!("{key} = ");
        let header = format!("{table}.{key}");
        tables.iter().any(|(name, _, lines)| {
            *name == header.trim_start_matches('.')
                || *name == table && lines.iter().any(|line| line.starts_with(&assignment))
        })
    };
    let mut keys = 0;
    for (table, begin, _) in &tables {
        // A table with an unknown key tells which ones it accepts.
        let mut probe = lines.clone();
        probe.insert(*begin, "unheard_of = 1");
        let faults = directory.faults(&probe.join("\n"));
        let accepted = faults.iter().find_map(|fault| {
            let (place, accepted) = fault.split_once(": unknown key: expected one of ")?;
            place.ends_with("unheard_of").then_some(accepted)
        });
        for key in accepted.expect(table).split(", ") {
            // A server may have its pool's keys for itself, a listener or an app those of a table of
            // the root.
            let (parent, name) = table.rsplit_once('.').unwrap_or_default();
            let mut places = [table, parent, name].into_iter();
            let documented = places.any(|table| is_documented(table, key));
            assert!(documented, "{table}.{key}");
            keys += 1;
        }
    }
    // So that a change in the layout of the reference cannot empty this test.
    assert_eq!(keys, 129);
}

/// The tables of a text, each with the number of its first line after the header, and its lines.
fn tables<'t>(lines: &[&'t str]) -> Vec<(&'t str, usize, Vec<&'t str>)> {
    let mut tables = vec![("", 0, Vec::new())];
    for (number, line) in lines.iter().enumerate() {
        let header = line.split('#').next().unwrap().trim();
        if header.starts_with('[') {
            let name = header.trim_start_matches('[').trim_end_matches(']');
            tables.push((name, number + 1, Vec::new()));
        } else {
            tables.last_mut().unwrap().2.push(*line);
        }
    }
    tables
}

/// Headers and keys that stand in comments are written.
fn with_options(text: &str) -> String {
    let option = |line| match str::strip_prefix(line, "# ") {
        Some(option) if option.starts_with("[[") || assignment(option).is_some() => option,
        _ => line,
    };
    let lines: Vec<&str> = text.lines().map(option).collect();
    lines.join("\n")
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
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
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
