//! Right and wrong passwords, and what is remembered of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::*;

#[test]
fn real_hashes_decide() {
    let threads = NonZeroUsize::new(2).unwrap();
    let world = World::of(Authenticator::new(vec![realm()], threads).unwrap());
    for (user, password, right) in [
        ("alice", "correct horse", true),
        ("bob", "battery staple", true),
        ("alice", "battery staple", false),
        ("bob", "correct horse", false),
        ("Alice", "correct horse", false),
        ("carol", "correct horse", false),
        ("carol", "battery staple", false),
        ("", "", false),
    ] {
        let verdict = world.ask(user, password, "192.0.2.1", 0);
        if right {
            assert_eq!(known(&verdict).0, user);
        } else {
            refused(&verdict, FailureCause::WrongPassword);
        }
    }
    assert_eq!(world.auth.hashes_run(), 8, "each costs one hash");
    assert_eq!(world.auth.session_count(), 2);
}

#[test]
fn an_unknown_user_costs_one_hash_against_an_entry_of_their_own() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let generous = Settings {
        per_address: 10_000,
        per_account: 10_000,
        ..settings()
    };
    let world = World::with(generous, move |hash, _| {
        record.lock().unwrap().push(hash.as_str().to_owned());
        Ok(true)
    });
    let mut entries = BTreeSet::new();
    for n in 0..64 {
        let name = format!("nobody{n}");
        for password in ["one", "other"] {
            let verdict = world.ask(&name, password, "192.0.2.1", 0);
            refused(&verdict, FailureCause::WrongPassword);
        }
        let hashes = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(hashes.len(), 2);
        assert_eq!(hashes[0], hashes[1]);
        entries.extend(hashes);
    }
    assert_eq!(entries.len(), 2, "other names fall on other entries");
    assert_eq!(known(&world.ask("alice", "any", "192.0.2.1", 0)).0, "alice");
    let Method::Basic(basic) = realm().method;
    let (_, alice) = basic.users.get("alice").unwrap();
    assert_eq!(*seen.lock().unwrap(), [alice.as_str()]);
}

#[test]
fn a_right_password_is_remembered_by_every_worker_and_stands_for_one_session() {
    let world = World::new();
    let question = password_question(0, "alice", RIGHT, "192.0.2.1");
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    for seconds in 0..60 {
        for worker in &world.workers {
            let verdict = block_on(worker.answer_at(&question, at(seconds)));
            assert_eq!(known(&verdict), ("alice", token));
        }
    }
    assert_eq!(world.auth.hashes_run(), 1);
    assert_eq!(world.auth.session_count(), 1);
}

#[test]
fn a_password_is_hashed_again_after_a_while_and_keeps_its_session() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    assert_eq!(known(&world.ask("alice", RIGHT, "192.0.2.1", 60)).1, token);
    assert_eq!(world.auth.hashes_run(), 2);
    let later = known(&world.ask("alice", RIGHT, "192.0.2.1", 160)).1;
    assert_ne!(later, token, "that one had been idle for too long");
    assert_eq!(world.auth.hashes_run(), 3);
    refused(
        &world.session(0, 0, token, 160),
        FailureCause::UnknownSession,
    );
}

#[test]
fn a_session_that_ends_is_replaced_without_a_hash() {
    let cached_for_long = Settings {
        cache: 150,
        ..settings()
    };
    let world = World::with(cached_for_long, |_, password| Ok(password == b"right"));
    let (_, first) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    let (_, second) = known(&world.ask("alice", RIGHT, "192.0.2.1", 100));
    assert_ne!(first, second);
    let question = password_question(0, "alice", RIGHT, "192.0.2.1");
    let verdict = block_on(world.workers[1].answer_at(&question, at(101)));
    assert_eq!(known(&verdict), ("alice", second));
    assert_eq!(known(&world.session(1, 0, second, 101)).0, "alice");
    assert_eq!(
        known(&world.ask("alice", RIGHT, "192.0.2.1", 149)).1,
        second
    );
    assert_eq!(world.auth.hashes_run(), 1);
    assert_eq!(
        known(&world.ask("alice", RIGHT, "192.0.2.1", 150)).1,
        second
    );
    assert_eq!(
        world.auth.hashes_run(),
        2,
        "the password does not last longer for it"
    );
}

#[test]
fn other_credentials_of_an_account_do_not_take_over_its_session() {
    let world = World::with(settings(), |_, _| Ok(true));
    let (_, one) = known(&world.ask("alice", "one", "192.0.2.1", 0));
    let (_, other) = known(&world.ask("alice", "other", "192.0.2.1", 0));
    assert_ne!(one, other);
}

#[test]
fn with_a_cache_of_nothing_each_password_is_hashed() {
    let uncached = Settings {
        cache: 0,
        ..settings()
    };
    let world = World::with(uncached, |_, password| Ok(password == b"right"));
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    for _ in 0..100 {
        assert_eq!(known(&world.ask("alice", RIGHT, "192.0.2.1", 0)).1, token);
    }
    assert_eq!(world.auth.hashes_run(), 101, "and none of them was charged");
}

#[test]
fn a_wrong_password_is_not_remembered_and_no_other_is_taken_for_right() {
    let world = World::new();
    known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    for n in 1..=3 {
        refused(
            &world.ask("alice", "wrong", "192.0.2.1", 0),
            FailureCause::WrongPassword,
        );
        assert_eq!(world.auth.hashes_run(), 1 + n);
    }
    for (user, password) in [("alic", "eright"), ("aliceright", ""), ("alice", "righ")] {
        refused(
            &world.ask(user, password, "192.0.2.1", 0),
            FailureCause::WrongPassword,
        );
    }
}

#[test]
fn realms_and_address_blocks_are_apart() {
    let world = World::new();
    let ask = |realm, client| {
        let question = password_question(realm, "alice", RIGHT, client);
        let verdict = block_on(world.workers[0].answer_at(&question, at(0)));
        (known(&verdict).1, world.auth.hashes_run())
    };
    let (token, hashes) = ask(0, "2001:db8::1");
    assert_eq!(hashes, 1);
    assert_eq!(ask(0, "2001:db8::ffff"), (token, 1), "the same /64");
    let (elsewhere, hashes) = ask(0, "2001:db8:0:1::1");
    assert_eq!(hashes, 2);
    let (other_realm, hashes) = ask(1, "2001:db8::1");
    assert_eq!(hashes, 3);
    assert!(elsewhere != token && other_realm != token && other_realm != elsewhere);
}

#[test]
fn a_check_that_fails_by_itself_is_unavailable_and_charges_nobody() {
    let world = World::with(settings(), |_, password| match password {
        b"error" => Err(VerifyError::Bcrypt(bcrypt::BcryptError::CostNotAllowed(99))),
        b"panic" => panic!("as the test wants"),
        other => Ok(other == b"right"),
    });
    for _ in 0..15 {
        for password in ["error", "panic"] {
            let verdict = world.ask("alice", password, "192.0.2.1", 0);
            refused(&verdict, FailureCause::CheckerFailed);
        }
    }
    known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    let no_such_realm = password_question(2, "alice", RIGHT, "192.0.2.1");
    let verdict = block_on(world.workers[0].answer_at(&no_such_realm, at(0)));
    refused(&verdict, FailureCause::CheckerFailed);
}
