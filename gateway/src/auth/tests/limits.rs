//! Limits of wrong passwords.

use super::*;

#[test]
fn an_account_bears_so_many_failures_wherever_they_come_from() {
    for user in ["alice", "nobody"] {
        let world = World::new();
        for n in 1..=10 {
            let client = format!("192.0.2.{n}");
            refused(
                &world.ask(user, "wrong", &client, 0),
                FailureCause::WrongPassword,
            );
        }
        for password in ["wrong", RIGHT] {
            let verdict = world.ask(user, password, "192.0.2.99", 0);
            let wait = refused(&verdict, FailureCause::RateLimitedAccount);
            assert_eq!(wait, Some(6));
        }
        assert_eq!(world.auth.hashes_run(), 10, "nothing is hashed beyond");
        known(&world.ask("bob", RIGHT, "192.0.2.99", 0));
        refused(
            &world.ask(user, "wrong", "192.0.2.99", 6),
            FailureCause::WrongPassword,
        );
        let verdict = world.ask(user, "wrong", "192.0.2.99", 6);
        refused(&verdict, FailureCause::RateLimitedAccount);
    }
}

#[test]
fn an_address_block_bears_so_many_failures_whoever_is_named() {
    let world = World::new();
    for n in 0..20 {
        let verdict = world.ask(&format!("nobody{n}"), "wrong", &format!("2001:db8::{n}"), 0);
        refused(&verdict, FailureCause::WrongPassword);
    }
    for user in ["alice", "nobody99"] {
        let verdict = world.ask(user, RIGHT, "2001:db8::ffff", 0);
        assert_eq!(refused(&verdict, FailureCause::RateLimitedAddress), Some(3));
    }
    assert_eq!(world.auth.hashes_run(), 20, "nothing is hashed beyond");
    known(&world.ask("alice", RIGHT, "2001:db8:0:1::1", 0));
    known(&world.ask("alice", RIGHT, "2001:db8::1", 3));
}

#[test]
fn a_refusal_for_the_account_does_not_charge_the_address() {
    let world = World::new();
    for n in 1..=10 {
        world.ask("alice", "wrong", &format!("192.0.2.{n}"), 0);
    }
    for _ in 0..100 {
        let verdict = world.ask("alice", "wrong", "192.0.2.99", 0);
        refused(&verdict, FailureCause::RateLimitedAccount);
    }
    for _ in 0..10 {
        let verdict = world.ask("bob", "wrong", "192.0.2.99", 0);
        refused(&verdict, FailureCause::WrongPassword);
    }
}

#[test]
fn realms_are_limited_apart() {
    let world = World::new();
    for _ in 0..10 {
        world.ask("alice", "wrong", "192.0.2.1", 0);
    }
    refused(
        &world.ask("alice", RIGHT, "192.0.2.1", 0),
        FailureCause::RateLimitedAccount,
    );
    let other = password_question(1, "alice", RIGHT, "192.0.2.1");
    known(&block_on(world.workers[0].answer_at(&other, at(0))));
}

#[test]
fn who_is_known_goes_on_while_their_account_is_attacked() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    for n in 0..1_000 {
        let client = format!("198.51.100.{}", n % 250);
        world.ask("alice", &format!("guess{n}"), &client, 0);
    }
    let verdict = world.ask("alice", RIGHT, "198.51.100.1", 0);
    refused(&verdict, FailureCause::RateLimitedAccount);
    let question = password_question(0, "alice", RIGHT, "192.0.2.1");
    for worker in &world.workers {
        let verdict = block_on(worker.answer_at(&question, at(1)));
        assert_eq!(known(&verdict), ("alice", token));
    }
    known(&world.session(1, 0, token, 1));
}

/// What is remembered must not let anybody guess who is refused a hash.
#[test]
fn an_exhausted_address_cannot_guess_against_what_is_remembered() {
    let world = World::new();
    let (_, token) = known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
    let question = password_question(0, "alice", RIGHT, "192.0.2.1");
    for n in 0..10 {
        let verdict = world.ask("alice", &format!("guess{n}"), "192.0.2.1", 0);
        refused(&verdict, FailureCause::WrongPassword);
        if n == 8 {
            let verdict = block_on(world.workers[1].answer_at(&question, at(0)));
            assert_eq!(known(&verdict), ("alice", token), "and begins no new count");
        }
    }
    assert_eq!(world.auth.hashes_run(), 11);
    for worker in &world.workers {
        let verdict = block_on(worker.answer_at(&question, at(0)));
        refused(&verdict, FailureCause::RateLimitedAccount);
    }
    known(&world.session(0, 0, token, 0));
    let verdict = world.ask("alice", RIGHT, "192.0.2.1", 6);
    assert_eq!(
        known(&verdict),
        ("alice", token),
        "hashed, it is right again"
    );
    assert_eq!(world.auth.hashes_run(), 12);
}
