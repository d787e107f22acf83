//! What the command line changes: stored, shown, and ended by the command line alone.

use std::time::{Duration, Instant};

use gateway_tests::host::bpf;

use crate::life::{Life, Service};

#[test]
fn overrides_survive_restarts_and_end_when_cleared() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    for configured in ["enforce", "audit"] {
        life.configure(configured);
        let mut guard = life.start();
        expect(&life, configured, None);
        for set in ["audit", "detach", "enforce"] {
            life.done(&[set]);
            expect(&life, configured, Some(set));
            for end in [Service::stop, Service::kill] {
                end(guard);
                guard = life.start();
                expect(&life, configured, Some(set));
            }
        }
        life.done(&["--clear"]);
        expect(&life, configured, None);
        guard.stop();
        guard = life.start();
        expect(&life, configured, None);
        guard.stop();
    }
}

/// A configuration that is read anew changes what is configured, not what is in force.
#[test]
fn overrides_survive_another_configuration() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    life.done(&["audit"]);
    let (before, _) = life.status();
    guard.stop();
    life.configure("audit");
    let guard = life.start();
    life.done(&["enforce"]);
    guard.stop();
    let guard = life.start();
    expect(&life, "audit", Some("enforce"));
    let (after, _) = life.status();
    let since = |status: &serde_json::Value| status["override"]["since_unix"].as_u64().unwrap();
    assert!(since(&after) >= since(&before));
    life.done(&["--clear"]);
    expect(&life, "audit", None);
    guard.stop();
}

/// What is pinned enforces without the service, and the command line reaches it there.
#[test]
fn overrides_work_without_a_service() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    life.start().kill();
    assert!(
        !life.strangers_get_in(),
        "what is pinned outlives the service"
    );
    for (set, gets_in) in [("audit", true), ("enforce", false), ("detach", true)] {
        let told = life.done(&[set, "--json"]).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["running"], false);
        assert_eq!(told["override"]["mode"], set);
        assert_eq!(told["pinned"], true, "{set}");
        assert_eq!(life.strangers_get_in(), gets_in, "{set}");
    }
    assert_eq!(life.pinned(), [""; 0]);
    let guard = life.start();
    expect(&life, "enforce", Some("detach"));
    guard.kill();
    // Nothing is pinned that could change: the configured mode comes back with the service.
    let told = life.done(&["--clear"]).stdout;
    assert!(told.contains("not running"), "{told}");
    assert!(life.strangers_get_in());
    let guard = life.start();
    expect(&life, "enforce", None);
    guard.kill();
    // And with something pinned, at once.
    life.done(&["audit"]);
    assert!(life.strangers_get_in());
    life.done(&["--clear"]);
    assert!(!life.strangers_get_in());
}

#[test]
fn detach_is_not_undone_by_the_watchdog() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    life.done(&["detach"]);
    let started = Instant::now();
    while started.elapsed() < TEN_LOOKS {
        assert!(life.strangers_get_in());
        assert_eq!(life.pinned(), [""; 0]);
    }
    expect(&life, "enforce", Some("detach"));
    // And the watchdog watches again afterwards.
    life.done(&["--clear"]);
    assert!(!life.strangers_get_in());
    let pin = life.pins().join("ingress");
    std::fs::remove_file(&pin).unwrap();
    guard.said("its pin was removed", |line| {
        line["found"] == "its pin was removed"
    });
    guard.stop();
}

/// The kernel lets go of a link when the last who holds it does; nobody who says `detach` waits for
/// that.
#[test]
fn detached_is_detached_whoever_holds_the_links() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let hold = || -> Vec<_> {
        let hold = |program| bpf::hold(&life.pins().join(program)).unwrap();
        life.pinned().iter().map(hold).collect()
    };
    let guard = life.start();
    let _held = hold();
    assert!(!life.strangers_get_in());
    life.done(&["detach"]);
    assert!(life.strangers_get_in());

    life.done(&["--clear"]);
    let _held_again = hold();
    guard.kill();
    assert!(!life.strangers_get_in());
    life.done(&["detach"]);
    assert!(life.strangers_get_in());
}

/// Status, exit status, metrics, pins and who gets in.
#[track_caller]
fn expect(life: &Life, configured: &str, set: Option<&str>) {
    let mode = set.unwrap_or(configured);
    let state = match mode {
        "audit" => "auditing",
        "detach" => "detached",
        _ => "enforcing",
    };
    let (status, code) = life.status();
    assert_eq!(status["state"], state, "{status}");
    assert_eq!(status["mode"], mode, "{status}");
    assert_eq!(status["configured_mode"], configured, "{status}");
    assert_eq!(status["override"]["mode"].as_str(), set, "{status}");
    assert_eq!(status["override"].is_null(), set.is_none(), "{status}");
    assert_eq!(code, Some(if mode == "enforce" { 0 } else { 3 }));
    life.metrics_say(&format!("{mode}, overridden: {set:?}"), |metrics| {
        let shows = |name: &str, label: &str, value: &str, yes: bool| {
            let name = format!("connect_gateway_guard_{name}");
            metrics.sum(&name, &[(label, value)]) == if yes { 1.0 } else { 0.0 }
        };
        let modes = ["audit", "detach", "enforce"].into_iter().all(|one| {
            shows("override", "mode", one, set == Some(one))
                && shows("mode", "mode", one, mode == one)
        });
        modes && shows("state", "state", state, true)
    });
    assert_eq!(life.pinned().is_empty(), mode == "detach");
    assert_eq!(life.strangers_get_in(), mode != "enforce", "{mode}");
}

/// How long the service needs to look after its programs ten times.
const TEN_LOOKS: Duration = Duration::from_secs(1);
