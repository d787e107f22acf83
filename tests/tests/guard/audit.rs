//! `audit` lets everything pass, and reports exactly what `enforce` then refuses.

use std::collections::BTreeSet;

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::poll;
use gateway_tests::host::{Cgroup, Guard, GuardSetup};
use serde_json::Value;

use crate::site::{Layer, Site};

// Each layer alone: together, `connect4` would keep from `ingress` what it refuses.

#[test]
fn of_connects_audit_reports_what_enforce_refuses() {
    both_report(
        "connect4,connect6",
        &[
            ("connect4", "not_gateway", "connect.service"),
            ("connect4", "not_gateway", "outsider"),
            ("connect6", "not_gateway", "connect.service"),
            ("connect6", "not_gateway", "outsider"),
        ],
    );
}

#[test]
fn of_binds_audit_reports_what_enforce_refuses() {
    both_report(
        "bind4,bind6",
        &[
            ("bind4", "not_service", "connect.service"),
            ("bind4", "not_service", "outsider"),
            ("bind6", "not_service", "connect.service"),
            ("bind6", "not_service", "outsider"),
        ],
    );
}

#[test]
fn of_packets_audit_reports_what_enforce_refuses() {
    both_report(
        "ingress",
        &[
            // Who sent a raw packet is not known.
            ("ingress", "no_sender", ""),
            ("ingress", "not_gateway", "connect.service"),
            ("ingress", "not_gateway", "outsider"),
        ],
    );
}

/// Whoever is refused by one program or another was reported, and nobody else.
#[test]
fn audit_reports_whom_enforce_refuses() {
    let Some(site) = Site::new() else { return };
    site.hush();
    let [audited, refused] = ["audit", "enforce"].map(|mode| {
        let guard = site.guard(mode, Layer::All);
        let reports = everything(&site, &guard, mode);
        guard.stop();
        reports
    });
    assert!(audited.is_superset(&refused), "{audited:?}\n{refused:?}");
    let whom = |reports: &BTreeSet<Report>| -> BTreeSet<_> {
        reports.iter().map(|report| report.cgroup.clone()).collect()
    };
    assert_eq!(whom(&audited), whom(&refused));
    assert_eq!(whom(&refused).len(), 3);
}

/// Both modes report exactly these: program, reason and the cgroup's name.
#[track_caller]
fn both_report(programs: &str, expected: &[(&str, &str, &str)]) {
    let Some(site) = Site::new() else { return };
    site.hush();
    let report = |(program, reason, cgroup): &(&str, &str, &str)| Report {
        program: (*program).to_owned(),
        reason: (*reason).to_owned(),
        cgroup: (*cgroup).to_owned(),
    };
    let expected: BTreeSet<_> = expected.iter().map(report).collect();
    for mode in ["audit", "enforce"] {
        let guard = GuardSetup::new(&site.host, mode).programs(programs).start();
        assert_eq!(everything(&site, &guard, mode), expected, "{mode}");
        guard.stop();
    }
}

/// What the log says of a decision on the endpoint; when, whence and how often is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Report {
    program: String,
    reason: String,
    /// The last part of its path; empty if it is not known who it was.
    cgroup: String,
}

/// One of everything that is refused, and some that passes; what the guard reported of it.
fn everything(site: &Site, guard: &Guard<'_>, mode: &str) -> BTreeSet<Report> {
    let host = &site.host;
    let audit = mode == "audit";
    let [outsider, hosted] = site.strangers();
    let unhooked = host.outsider().as_root();
    for (who, arguments) in [
        (&outsider, &["connect", "127.0.0.1:3939"][..]),
        (&outsider, &["connect", "[::1]:3939"]),
        (&hosted, &["connect", "127.0.0.2:3939"]),
        (&hosted, &["connect", "[::ffff:127.0.0.1]:3939"]),
        (
            &hosted,
            &["connect", "127.0.0.1:3939", "--by", "fast-open-send"],
        ),
        (&unhooked, &["raw", "127.0.0.1:3939", "--source"]),
    ] {
        logged(guard, || {
            let source = format!("127.0.0.1:{}", site.next_port());
            let own: &[&str] = if arguments[0] == "raw" {
                &[&source]
            } else {
                &[]
            };
            let outcome = host.attempt(who, &[arguments, own].concat());
            assert!(
                !audit || outcome.answered_by("service"),
                "{arguments:?}: {outcome:?}"
            );
        });
    }
    for who in [&outsider, &hosted] {
        for address in ["127.0.0.9:3939", "[::]:3939"] {
            // The service has the port already: the kernel says so to whom the guard lets pass.
            logged(guard, || {
                let outcome = host.attempt(who, &["serve", "--listen", address]);
                assert!(!audit || is_taken(&outcome), "{outcome:?}");
            });
        }
    }
    site.gateway_reaches();
    reports(site, guard, audit)
}

/// Tries something until the log has had room for all that it gave rise to: it takes a number of
/// lines each second.
fn logged(guard: &Guard<'_>, attempt: impl Fn()) {
    let mut before = written(guard);
    poll::until("the log has room for it", || {
        attempt();
        let now = written(guard);
        (std::mem::replace(&mut before, now) == now).then_some(())
    });
}

/// Waits until every refusal is in the log or left out of it; how many were left out.
fn written(guard: &Guard<'_>) -> u64 {
    poll::until("every refusal is in the log", || {
        let refused = guard.refused();
        let suppressed = guard.status()["suppressed_log_lines"].as_u64().unwrap();
        (guard.events().len() as u64 + suppressed >= refused).then_some(suppressed)
    })
}

fn is_taken(outcome: &Outcome) -> bool {
    let taken = rustix::io::Errno::ADDRINUSE.raw_os_error();
    matches!(outcome, Outcome::Refused { errno, .. } if *errno == taken)
}

fn reports(site: &Site, guard: &Guard<'_>, audit: bool) -> BTreeSet<Report> {
    let action = if audit { "would_refuse" } else { "refused" };
    let verdicts = guard.verdicts();
    assert!(
        verdicts
            .iter()
            .all(|one| one.action == "passed" || one.action == action)
    );
    assert_eq!(guard.status()["events_lost"], 0);
    written(guard);
    let events = guard.events();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    events
        .iter()
        .map(|event| {
            assert_eq!(event["enforced"], !audit, "{event}");
            assert_eq!(event["endpoint"], "*:3939", "{event}");
            // By its id: the path of a process that has ended may not be known any more.
            let cgroup = site
                .strangers()
                .map(|who| who.cgroup().clone())
                .into_iter()
                .find(|cgroup| Some(cgroup.id()) == event["cgroup_id"].as_u64());
            let name = |cgroup: Cgroup| cgroup.path.rsplit('/').next().unwrap().to_owned();
            Report {
                program: text(event, "program"),
                reason: text(event, "reason"),
                cgroup: cgroup.map(name).unwrap_or_default(),
            }
        })
        .collect()
}
