//! Whether the gateway starts.

use std::os::unix::net::UnixDatagram;
use std::thread;

use gateway_tests::harness::{ALICE, Backend, Finished, Request, Setup, poll};
use serde_json::json;

use crate::place::launcher;
use crate::{FakeGuard, Guarded, Place, Says, enforcing, guarded, lost, socket};

#[test]
fn in_the_slice_and_below_it_the_gateway_starts() {
    let backend = Backend::recording();
    for below in [false, true] {
        let Some(Guarded {
            setup,
            guard: _guard,
            place,
        }) = Guarded::new(&backend)
        else {
            return;
        };
        let child = place.child("connect-gateway.service");
        let launcher = if below {
            launcher(&child)
        } else {
            place.launcher()
        };
        let gateway = setup.prepare().start_by(&launcher);
        gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
}

/// Whatever the guard says, and required or not: the guard would refuse its connections.
#[test]
fn elsewhere_it_does_not_start() {
    let backend = Backend::recording();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::"));
    for required in [false, true] {
        let Some(Guarded {
            setup,
            guard: _guard,
            place,
        }) = Guarded::new(&backend)
        else {
            return;
        };
        let prepared = setup.prepare();
        prepared.edit(
            "mode = \"enforce\"",
            &format!("mode = \"enforce\"\nrequired = {required}"),
        );
        let sibling = place.sibling();
        let elsewhere = prepared.finish_by(&launcher(&sibling), &["run"]);
        assert_outside(&elsewhere, &sibling.path, place.path());
        let inherited = prepared.finish(&["run"]);
        assert_outside(&inherited, own.unwrap(), place.path());
    }
}

#[test]
fn without_a_required_guard_that_holds_it_does_not_start() {
    let Some(first) = Place::new() else { return };
    let cases = lost(first.path()).len();
    thread::scope(|scope| {
        for index in 0..cases {
            scope.spawn(move || {
                let backend = Backend::recording();
                let Guarded {
                    setup,
                    guard,
                    place,
                } = Guarded::new(&backend).unwrap();
                let (says, parts) = lost(place.path()).swap_remove(index);
                guard.say(says);
                let finished = setup.prepare().finish_by(&place.launcher(), &["run"]);
                assert_refused(&finished, parts);
            });
        }
        scope.spawn(|| {
            let setup = guarded(Setup::connect(&Backend::recording()), first.path());
            let finished = setup.prepare().finish_by(&first.launcher(), &["run"]);
            assert_refused(&finished, &["not running", "guard.sock"]);
        });
    });
}

/// A guard that starts together with the gateway: it is asked before it can tell.
#[test]
fn it_waits_a_little_for_its_guard() {
    let Some(place) = Place::new() else { return };
    let backend = Backend::recording();
    let setup = guarded(Setup::connect(&backend), place.path());
    let socket = socket(&setup);
    let status = Says::status(&enforcing(place.path()));
    let early = FakeGuard::start(&socket, Says::End);
    let late = thread::spawn(move || {
        poll::until("the gateway asks", || early.was_asked().then_some(()));
        drop(early);
        FakeGuard::start(&socket, status)
    });
    let gateway = setup.prepare().start_by(&place.launcher());
    assert_eq!(gateway.ask_admin("/readyz").expect(200).text(), READY);
    late.join().unwrap();
}

#[test]
fn it_starts_under_audit() {
    let backend = Backend::recording();
    for (overridden, body) in [
        (json!(null), "ready\nguard: auditing\n"),
        (
            json!({ "mode": "audit", "since_unix": 1_790_000_000 }),
            "ready\nguard: auditing, overridden by the command line\n",
        ),
    ] {
        let Some(Guarded {
            setup,
            guard,
            place,
        }) = Guarded::new(&backend)
        else {
            return;
        };
        let mut status = enforcing(place.path());
        status["state"] = json!("auditing");
        status["mode"] = json!("audit");
        status["override"] = overridden;
        guard.say(Says::status(&status));
        let gateway = setup.prepare().start_by(&place.launcher());
        assert_eq!(gateway.ask_admin("/readyz").expect(200).text(), body);
        gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
}

#[test]
fn a_guard_that_is_not_required_may_come_later() {
    let Some(place) = Place::new() else { return };
    let backend = Backend::recording();
    let setup = guarded(Setup::connect(&backend), place.path());
    let socket = socket(&setup);
    let prepared = setup.prepare();
    prepared.edit("mode = \"enforce\"", "mode = \"enforce\"\nrequired = false");
    let gateway = prepared.start_by(&place.launcher());
    let text = gateway.ask_admin("/readyz").expect(200).text();
    assert!(text.starts_with("ready\nguard: "), "{text}");
    assert!(text.contains("not running"), "{text}");
    assert_eq!(gateway.metrics().sum("connect_gateway_guard_up", &[]), 0.0);
    assert_eq!(gateway.metrics().sum("connect_gateway_ready", &[]), 1.0);
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);

    let _guard = FakeGuard::start(&socket, Says::status(&enforcing(place.path())));
    poll::until("the guard is seen", || {
        (gateway.ask_admin("/readyz").expect(200).text() == READY).then_some(())
    });
    assert_eq!(gateway.metrics().sum("connect_gateway_guard_up", &[]), 1.0);
}

/// `check` and a gateway without `[guard]` ask nobody.
#[test]
fn without_a_guard_nothing_is_said_of_one() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    assert_eq!(gateway.ask_admin("/readyz").expect(200).text(), "ready\n");
    assert!(!gateway.metrics().has("connect_gateway_guard_up"));

    let checked = guarded(Setup::connect(&backend), "/nowhere")
        .prepare()
        .finish(&["check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

/// Anybody on this host could speak to them.
#[test]
fn check_names_the_back_ends_that_no_guard_covers() {
    let backend = Backend::recording();
    let check = |endpoint: &str| {
        let prepared = guarded(Setup::connect(&backend), "/nowhere").prepare();
        prepared.edit("\"*:3939\"", &format!("\"{endpoint}\""));
        let checked = prepared.finish(&["check", "--offline"]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let warnings = checked.stdout.matches("no [[guard.local]] covers it");
        warnings.count()
    };
    let port = backend.address().port();
    assert_eq!(check(&format!("127.0.0.2:{port}")), 1);
    assert_eq!(check("*:1"), 1);
    assert_eq!(check(&format!("*:{port}")), 0);
    assert_eq!(check(&backend.address().to_string()), 0);
}

/// As a unit of `Type=notify`, behind which others wait.
#[test]
fn systemd_is_told_once_it_serves() {
    let setup = Setup::connect(&Backend::recording());
    let socket = setup.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(poll::patience())).unwrap();
    let told = format!("NOTIFY_SOCKET={}", socket.display());
    let gateway = setup.prepare().start_by(&["env", &told]);
    let mut message = [0; 64];
    let length = systemd.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1");
    gateway.ask_admin("/readyz").expect(200);
}

#[track_caller]
fn assert_outside(finished: &Finished, found: &str, slice: &str) {
    let parts = [
        format!("cgroup {found},"),
        format!("outside the slice {slice};"),
    ];
    // The root is named as such.
    let parts = parts.map(|part| part.replace("cgroup /,", "root cgroup (/),"));
    assert_refused(finished, &[&parts[0], &parts[1]]);
}

/// Exit status 2, and one line, which says all of this.
#[track_caller]
fn assert_refused(finished: &Finished, parts: &[&str]) {
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(finished.stdout, "", "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(
        finished.stderr.starts_with("connect-gateway: guard: "),
        "{finished:?}"
    );
    for part in parts {
        assert!(finished.stderr.contains(part), "{part} in {finished:?}");
    }
}

const READY: &str = "ready\nguard: enforcing\n";
