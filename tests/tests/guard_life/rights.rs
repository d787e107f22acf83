//! Who may change the guard, and who may ask about it.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use gateway_tests::harness::{Finished, tool};
use gateway_tests::host::{Host, Who};

use crate::life::Life;

#[test]
fn only_root_may_change_it() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    let (before, _) = life.status();
    for who in others(&life.host) {
        for command in [&["audit"][..], &["enforce"], &["detach"], &["--clear"]] {
            let finished = life.command_by(&who.launcher(), command);
            assert_eq!(finished.code, Some(1), "{who:?} {command:?}: {finished:?}");
            assert_not_root(&finished);
        }
    }
    let (after, _) = life.status();
    for what in ["mode", "override", "links", "state"] {
        assert_eq!(after[what], before[what]);
    }
    assert!(!life.strangers_get_in());
    // Nor without a service.
    guard.kill();
    for who in others(&life.host) {
        for command in ["audit", "enforce", "detach", "--clear"] {
            let finished = life.command_by(&who.launcher(), &[command]);
            assert_eq!(finished.code, Some(1), "{who:?} {command}: {finished:?}");
            assert_not_root(&finished);
        }
        remove_by(&who, &life);
    }
    assert!(!life.strangers_get_in());
    // Root may.
    life.done(&["audit"]);
    assert!(life.strangers_get_in());
}

/// The gateway must know whether it is guarded; nobody else need know, and it may not ask more.
#[test]
fn the_gateways_slice_may_ask_for_the_status_alone() {
    let Some(life) = Life::new() else { return };
    life.configure("enforce");
    let guard = life.start();
    let gateway = life.host.gateway().as_user(Host::GATEWAY);
    for (who, may) in [
        (life.host.gateway(), true),
        (life.host.outsider().as_root(), true),
        (gateway.clone(), true),
        (Who::user(life.host.slice(), Host::GATEWAY), true),
        (life.host.outsider(), false),
        (life.host.outsider().as_user(Host::GATEWAY), false),
        (life.host.hosted(), false),
        (Who::user(life.host.slice(), Host::OUTSIDER), false),
    ] {
        let finished = life.command_by(&who.launcher(), &["status", "--json"]);
        let code = if may { 0 } else { 1 };
        assert_eq!(finished.code, Some(code), "{who:?}: {finished:?}");
        assert_eq!(finished.stdout.contains("\"state\""), may, "{finished:?}");
    }
    // Strangers do not get as far as the service: they cannot fill its queue.
    let finished = life.command_by(&life.host.outsider().launcher(), &["status"]);
    assert!(
        finished.stderr.contains("Permission denied"),
        "{finished:?}"
    );
    let finished = life.command_by(&gateway.launcher(), &["explain", "127.0.0.1:3939"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("only root"), "{finished:?}");
    let explained = life.done(&["explain", "127.0.0.1:3939"]);
    assert!(!explained.stdout.is_empty());
    guard.stop();
}

/// Whoever can write there could switch the guard off.
#[test]
fn a_pin_directory_of_somebody_elses_is_refused() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let pins = life.pins();
    std::fs::create_dir(&pins).unwrap();
    for (owner, mode) in [(Host::OUTSIDER, 0o700), (0, 0o755), (0, 0o707)] {
        chown(&pins, Some(owner), Some(0)).unwrap();
        set_permissions(&pins, Permissions::from_mode(mode)).unwrap();
        let finished = life.command(&["run"]);
        assert_eq!(finished.code, Some(2), "{owner} {mode:o}: {finished:?}");
        assert!(finished.stderr.contains("pins_unsafe"), "{finished:?}");
        assert!(life.strangers_get_in(), "nothing is attached");
        assert_eq!(std::fs::read_dir(&pins).unwrap().count(), 0);
        let found = std::fs::metadata(&pins).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (owner, mode));
    }
    // The control: it is this that was wrong.
    std::fs::remove_dir(&pins).unwrap();
    let guard = life.start();
    assert!(!life.strangers_get_in());
    guard.stop();
}

#[test]
fn a_second_service_is_refused() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    let (before, _) = life.status();
    let finished = life.command(&["run"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("already_running"), "{finished:?}");
    // Under another socket it would still have the same pins.
    let socket = format!("{:?}", life.host.dir.path().join("other.sock"));
    let other = life.setup("audit").key("socket", &socket).text();
    let other = life.host.dir.write("other.toml", other);
    let mut run = Command::new(gateway_tests::harness::gateway_binary());
    run.args(["guard", "run", "--config"]).arg(&other);
    let finished = Finished::run(&mut run);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("already_running"), "{finished:?}");
    let (after, _) = life.status();
    for what in ["pid", "mode", "links", "state"] {
        assert_eq!(after[what], before[what]);
    }
    assert!(!life.strangers_get_in());
    guard.stop();
    life.start().stop();
}

/// Everybody who is not root, in whatever cgroup.
fn others(host: &Host) -> [Who; 3] {
    let gateway = host.gateway().as_user(Host::GATEWAY);
    [host.outsider(), host.hosted(), gateway]
}

/// The service says so; strangers meet the kernel first.
#[track_caller]
fn assert_not_root(finished: &Finished) {
    let refused = ["only root", "Permission denied"];
    let is_refused = refused.iter().any(|why| finished.stderr.contains(why));
    assert!(is_refused, "{finished:?}");
}

#[track_caller]
fn remove_by(who: &Who, life: &Life) {
    let launcher = who.launcher();
    let mut remove = Command::new(&launcher[0]);
    remove.args(&launcher[1..]).arg(tool("rm"));
    let finished = Finished::run(remove.arg(life.pins().join("ingress")));
    assert_eq!(finished.code, Some(1), "{who:?}: {finished:?}");
    assert!(life.pinned().contains(&"ingress".to_owned()));
}
