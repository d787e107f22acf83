//! What an operator can get wrong in `[guard]`: `check` and `run` say where, what and what else, and
//! nothing is started.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use gateway_tests::harness::{Backend, Prepared, Setup};

const GUARD: &str = r#"
[guard]
mode = "enforce"
slice = "connect-gateway.slice"
[[guard.local]]
address = "*:3939"
service = "rstudio-connect.service"
run_as = [997]
[[guard.remote]]
address = "192.0.2.10:3939"
[[guard.exception]]
uid = 998
"#;

#[test]
fn a_good_guard_is_checked() {
    let prepared = prepare(&Backend::recording(), GUARD);
    let finished = prepared.finish(&["check", "--offline"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn wrong_and_contradictory_guards_are_named_with_their_line() {
    let backend = Backend::recording();
    for (from, to, key, expected) in [
        (
            "mode = \"enforce\"",
            "mode = \"off\"",
            "guard.mode",
            "expected \"audit\" or \"enforce\"",
        ),
        (
            "slice = \"connect-gateway.slice\"",
            "slice = \"-.slice\"",
            "guard.slice",
            "the root of all cgroups",
        ),
        (
            "slice = \"connect-gateway.slice\"",
            "slce = \"connect-gateway.slice\"",
            "guard.slce",
            "expected one of mode, required, slice",
        ),
        (
            "address = \"*:3939\"",
            "address = \"*:0\"",
            "guard.local[0].address",
            "\"*:3939\"",
        ),
        (
            "service = \"rstudio-connect.service\"",
            "service = \"rstudio-connect\"",
            "guard.local[0].service",
            ".service or .slice",
        ),
        (
            "service = \"rstudio-connect.service\"",
            "service = \"connect.slice\"",
            "guard.local[0].service",
            "lies above guard.slice",
        ),
        (
            "run_as = [997]",
            "allow_from = [\"::/0\"]\nrun_as = [997]",
            "guard.local[0].allow_from",
            "whole address space",
        ),
        (
            "address = \"192.0.2.10:3939\"",
            "address = \"127.0.0.1:3939\"",
            "guard.remote[0].address",
            "not a loopback",
        ),
        (
            "uid = 998",
            "uid = 997",
            "guard.exception[0].uid",
            "hosted content would pass",
        ),
        (
            "uid = 998",
            "cgroup = \"/system.slice\"",
            "guard.exception[0].cgroup",
            "holds guard.local[0].service",
        ),
    ] {
        assert_eq!(GUARD.matches(from).count(), 1, "{from}");
        let prepared = prepare(&backend, &GUARD.replace(from, to));
        let line = prepared.line_of(to.lines().next().unwrap());
        refused(&prepared, line, &[key, expected]);
    }
}

#[test]
fn a_guard_of_nothing_is_refused() {
    let prepared = prepare(&Backend::recording(), "\n[guard]\nmode = \"audit\"\n");
    let line = prepared.line_of("[guard]");
    refused(
        &prepared,
        line,
        &["guard.local", "[[guard.local]] or [[guard.remote]]"],
    );
}

#[test]
fn two_endpoints_of_one_port_must_agree() {
    let second = "[[guard.local]]\naddress = \"127.0.0.1:3939\"\nservice = \"other.service\"\n\
                  run_as = [997]\n";
    let prepared = prepare(&Backend::recording(), &format!("{GUARD}{second}"));
    let line = prepared.line_of("other.service");
    let parts = [
        "guard.local[1].service",
        "the same as guard.local[0].service",
    ];
    refused(&prepared, line, &parts);
}

fn prepare(backend: &Backend, guard: &str) -> Prepared {
    let prepared = Setup::connect(backend).prepare();
    let text = prepared.dir.read("gateway.toml");
    prepared.dir.write("gateway.toml", format!("{text}{guard}"));
    prepared
}

#[track_caller]
fn refused(prepared: &Prepared, line: usize, parts: &[&str]) {
    let ready = prepared.dir.path().join("ready.json");
    let place = format!("{}:{line}: ", prepared.config().display());
    for command in [
        &["check", "--offline"][..],
        &["run", "--ready-file", ready.to_str().unwrap()],
    ] {
        let finished = prepared.finish(command);
        assert_eq!(finished.code, Some(2), "{command:?}: {finished:?}");
        assert!(!ready.exists(), "it said that it was ready");
        let faults: Vec<&str> = finished
            .stderr
            .lines()
            .filter(|fault| fault.contains(&place))
            .collect();
        let [fault] = faults.as_slice() else {
            panic!("expected one fault at {place} in:\n{}", finished.stderr);
        };
        for part in parts {
            assert!(fault.contains(part), "{part:?} in:\n{fault}");
        }
    }
}
