//! What a running gateway says when its guard changes.

use std::thread;
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, Gateway, Request, poll};

use crate::{FakeGuard, Guarded, Place, Says, enforcing, lost};

/// Whatever is wrong: it goes on serving, says so, and takes it back.
#[test]
fn a_lost_guard_is_not_ready_until_it_is_back() {
    let Some(place) = Place::new() else { return };
    thread::scope(|scope| {
        for index in 0..lost(place.path()).len() {
            scope.spawn(move || lose_and_find(index));
        }
    });
}

fn lose_and_find(index: usize) {
    let backend = Backend::recording();
    let Guarded {
        setup,
        guard,
        place,
    } = Guarded::new(&backend).unwrap();
    let gateway = setup.prepare().start_by(&place.launcher());
    assert_holds(&gateway);

    let (says, parts) = lost(place.path()).swap_remove(index);
    guard.say(says);
    let text = assert_lost(&gateway);
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
    gateway.said(&[&["the guard is lost", "ERROR"][..], parts].concat());
    guard.say(Says::status(&enforcing(place.path())));
    assert_holds(&gateway);

    // One line for each change, and none for each second.
    let log = gateway.process_log();
    assert_eq!(log.matches("the guard is lost").count(), 1, "{log}");
    assert_eq!(log.matches("the guard holds").count(), 2, "{log}");
}

#[test]
fn a_guard_that_ended_is_lost_and_one_that_restarts_is_not() {
    let backend = Backend::recording();
    let Some(Guarded {
        setup,
        guard,
        place,
    }) = Guarded::new(&backend)
    else {
        return;
    };
    let socket = setup.path().join("guard.sock");
    let enforcing = Says::status(&enforcing(place.path()));
    let gateway = setup.prepare().start_by(&place.launcher());
    assert_holds(&gateway);

    drop(guard);
    let text = assert_lost(&gateway);
    assert!(text.contains("not running"), "{text}");
    let guard = FakeGuard::start(&socket, enforcing.clone());
    assert_holds(&gateway);

    // The gateway looks every second, and so meets each gap.
    let mut guard = Some(guard);
    for _ in 0..3 {
        drop(guard.take());
        watch_ready(&gateway, Duration::from_millis(1100));
        guard = Some(FakeGuard::start(&socket, enforcing.clone()));
        watch_ready(&gateway, Duration::from_millis(300));
    }
    let lost = gateway.process_log().matches("the guard is lost").count();
    assert_eq!(lost, 1);
}

/// A guard that does not answer must not hold up the end.
#[test]
fn a_silent_guard_holds_up_no_drain() {
    let backend = Backend::recording();
    let Some(Guarded {
        setup,
        guard,
        place,
    }) = Guarded::new(&backend)
    else {
        return;
    };
    let mut gateway = setup.prepare().start_by(&place.launcher());
    guard.say(Says::Nothing);
    assert_lost(&gateway);
    gateway.terminate();
    assert!(gateway.wait().success());
}

#[track_caller]
fn assert_holds(gateway: &Gateway) {
    poll::until("the guard holds", || {
        (gateway.ask_admin("/readyz").status == 200).then_some(())
    });
    assert_eq!(
        gateway.ask_admin("/readyz").expect(200).text(),
        "ready\nguard: enforcing\n"
    );
    assert_metrics(gateway, 1.0);
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
}

/// Returns what `/readyz` says.
#[track_caller]
fn assert_lost(gateway: &Gateway) -> String {
    poll::until("the guard is lost", || {
        (gateway.ask_admin("/readyz").status == 503).then_some(())
    });
    let text = gateway.ask_admin("/readyz").expect(503).text();
    assert!(text.starts_with("guard: "), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_metrics(gateway, 0.0);
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    gateway.ask_admin("/healthz").expect(200);
    text
}

#[track_caller]
fn assert_metrics(gateway: &Gateway, value: f64) {
    let metrics = gateway.metrics();
    for name in ["connect_gateway_guard_up", "connect_gateway_ready"] {
        assert!(metrics.has(name), "{name}");
        assert_eq!(metrics.sum(name, &[]), value, "{name}");
    }
}

#[track_caller]
fn watch_ready(gateway: &Gateway, length: Duration) {
    let started = Instant::now();
    while started.elapsed() < length {
        gateway.ask_admin("/readyz").expect(200);
        thread::sleep(Duration::from_millis(20));
    }
}
