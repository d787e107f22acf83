//! What would open the guard, what contradicts itself, what the kernel's tables cannot hold.

mod bounds;
mod contradictions;
mod values;

use gateway_config::check_syntax;

use super::assert_faults;
use crate::support::{Directory, MINIMAL};

/// A guard to which more is added: from line 21 of the file on, so that additions begin at line 26.
const GUARD: &str = r#"[guard]
mode = "enforce"
[[guard.local]]
address = "*:3939"
service = "rstudio-connect.service"
"#;

/// Texts in place of the minimal configuration's guard, with their faults. The check of the syntax
/// alone must find them too.
fn assert_guards(cases: &[(&str, &[(&str, &str)])]) {
    let directory = Directory::new();
    for (guard, expected) in cases {
        let text = format!("{MINIMAL}{guard}");
        assert_faults(&directory, &text, expected);
        let error = check_syntax(&text, "x".as_ref()).expect_err(guard);
        assert_eq!(error.diagnostics.len(), expected.len(), "{error}");
    }
}

/// Lines after [`GUARD`], each with its one fault.
fn assert_added(cases: &[(&str, &str, &str)]) {
    for (added, place, part) in cases {
        assert_guards(&[(&format!("{GUARD}{added}\n"), &[(place, part)])]);
    }
}

/// Replacements in [`GUARD`], each with its one fault.
fn assert_replaced(cases: &[(&str, &str, &str, &str)]) {
    for (from, to, place, part) in cases {
        assert!(GUARD.contains(from), "{from}");
        assert_guards(&[(&GUARD.replacen(from, to, 1), &[(place, part)])]);
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    assert_guards(&[(
        r#"[guard]
mode = "on"
slice = "/edge"
metrics = "x"
typo = 1
[[guard.local]]
address = "*"
service = "/edge/connect"
uid = -1
run_as = [997]
[[guard.remote]]
address = "127.0.0.1:1"
[[guard.exception]]
cgroup = "/edge"
[[guard.exception]]
uid = 997
"#,
        &[
            ("22: guard.mode", "expected \"audit\""),
            ("24: guard.metrics", "expected an address"),
            ("25: guard.typo", "unknown key"),
            ("27: guard.local[0].address", "expected a port"),
            ("28: guard.local[0].service", "lies below guard.slice"),
            ("29: guard.local[0].uid", "expected a user's number"),
            (
                "32: guard.remote[0].address",
                "expected an address elsewhere",
            ),
            ("34: guard.exception[0].cgroup", "holds guard.slice"),
            (
                "34: guard.exception[0].cgroup",
                "holds guard.local[0].service",
            ),
            ("36: guard.exception[1].uid", "is in guard.local[0].run_as"),
        ],
    )]);
}
