//! Sessions, as workers see them.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::super::fingerprint::Fingerprint;
use super::*;

#[test]
fn a_session_lives_in_its_realm_for_every_worker() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    for worker in [0, 1, 0, 1] {
        let verdict = world.session(worker, 0, token, 1);
        assert_eq!(known(&verdict), ("alice", token));
        for realm in [1, 2, usize::MAX] {
            refused(
                &world.session(worker, realm, token, 1),
                FailureCause::UnknownSession,
            );
        }
        let made_up = SessionToken::new([7; 32]);
        refused(
            &world.session(worker, 0, made_up, 1),
            FailureCause::UnknownSession,
        );
    }
}

#[test]
fn use_by_one_worker_keeps_a_session_alive_for_the_other() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    known(&world.session(1, 0, token, 0));
    for seconds in (90..=900).step_by(90) {
        known(&world.session(0, 0, token, seconds));
    }
    known(&world.session(1, 0, token, 999));
    for worker in [0, 1, 0] {
        refused(
            &world.session(worker, 0, token, 1_000),
            FailureCause::UnknownSession,
        );
    }
}

#[test]
fn silence_ends_a_session_also_where_it_is_held() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    known(&world.session(1, 0, token, 10));
    for worker in [0, 1, 0, 1] {
        refused(
            &world.session(worker, 0, token, 110),
            FailureCause::UnknownSession,
        );
    }
}

#[test]
fn a_session_revoked_for_want_of_room_ends_also_where_it_is_held() {
    let small = Settings {
        most_sessions: 16,
        per_account: 1_000,
        ..settings()
    };
    let world = World::with(small, |_, password| Ok(password == b"right"));
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    known(&world.session(1, 0, token, 1));
    let stored = || {
        let key = Fingerprint::session(0, &token);
        world.auth.checks.sessions.get(&key, at(2)).is_some()
    };
    let mut address = 0_u8;
    while stored() {
        known(&world.session(1, 0, token, 2));
        address += 1;
        known(&world.ask("bob", RIGHT, &format!("192.0.2.{address}"), 2));
    }
    refused(&world.session(1, 0, token, 2), FailureCause::UnknownSession);
    let (_, new) = known(&world.ask("alice", RIGHT, "192.0.2.1", 2));
    assert_ne!(
        new, token,
        "and the password that stood for it opens another"
    );
}

#[test]
fn a_session_is_answered_at_once() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    let made_up = SessionToken::new([7; 32]);
    for (token, cause) in [(token, None), (made_up, Some(FailureCause::UnknownSession))] {
        let question = Question::Session { realm: 0, token };
        let future = pin!(world.workers[1].answer(&question));
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(verdict) = polled else {
            panic!("it waits");
        };
        assert_eq!(verdict.cause, cause);
    }
}

#[test]
fn sessions_are_counted_while_they_live() {
    let world = World::new();
    for n in 1..=5 {
        known(&world.ask("alice", RIGHT, &format!("192.0.2.{n}"), 0));
        assert_eq!(world.auth.session_count(), n);
    }
    assert_eq!(world.auth.checks.sessions.count(at(100)), 0);
}

#[test]
fn nothing_is_left_behind() {
    let world = World::new();
    known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    let checks = Arc::downgrade(&world.auth.checks);
    drop(world);
    assert!(checks.upgrade().is_none(), "the threads have ended");
}
