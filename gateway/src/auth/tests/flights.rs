//! Hashes under way: shared, limited, abandoned, too many.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::super::lock;
use super::*;

#[test]
fn equal_questions_wait_for_one_hash() {
    let gate = Gate::new(settings());
    let verdicts = gate.together(|tasks| {
        for n in 0..50 {
            tasks.ask(n % 2, "alice", RIGHT, "192.0.2.1");
        }
    });
    let (_, token) = known(&verdicts[0]);
    for verdict in &verdicts {
        assert_eq!(known(verdict), ("alice", token));
    }
    assert_eq!(gate.world.auth.hashes_run(), 1);
    assert_eq!(gate.world.auth.session_count(), 1);
}

#[test]
fn one_wrong_hash_is_one_failure_however_many_wait_for_it() {
    let gate = Gate::new(settings());
    let verdicts = gate.together(|tasks| {
        for n in 0..50 {
            tasks.ask(n % 2, "alice", "wrong", "192.0.2.1");
        }
    });
    for verdict in &verdicts {
        refused(verdict, FailureCause::WrongPassword);
    }
    assert_eq!(gate.world.auth.hashes_run(), 1);
    gate.open();
    for n in 0..9 {
        let verdict = gate
            .world
            .ask("alice", &format!("guess{n}"), "192.0.2.1", 0);
        refused(&verdict, FailureCause::WrongPassword);
    }
    let verdict = gate.world.ask("alice", "guess", "192.0.2.1", 0);
    refused(&verdict, FailureCause::RateLimitedAccount);
}

#[test]
fn many_addresses_share_a_hash_and_have_sessions_of_their_own() {
    let gate = Gate::new(settings());
    let verdicts = gate.together(|tasks| {
        for n in 0..100 {
            tasks.ask(0, "alice", RIGHT, &format!("192.0.2.{}", n % 50));
        }
    });
    assert_eq!(gate.world.auth.hashes_run(), 1);
    assert_eq!(gate.world.auth.session_count(), 50);
    for (one, other) in verdicts[..50].iter().zip(&verdicts[50..]) {
        assert_eq!(known(one), known(other));
    }
}

#[test]
fn each_address_that_joins_a_hash_is_charged_and_an_exhausted_one_may_not() {
    let one_failure = Settings {
        per_address: 1,
        ..settings()
    };
    let gate = Gate::new(one_failure);
    let verdicts = gate.together(|tasks| {
        for client in ["192.0.2.1", "192.0.2.2", "192.0.2.2"] {
            tasks.ask(0, "alice", "wrong", client);
        }
    });
    for verdict in &verdicts {
        refused(verdict, FailureCause::WrongPassword);
    }
    let verdicts = gate.together(|tasks| {
        for client in ["192.0.2.3", "192.0.2.1", "192.0.2.2"] {
            tasks.ask(0, "alice", RIGHT, client);
        }
    });
    known(&verdicts[0]);
    refused(&verdicts[1], FailureCause::RateLimitedAddress);
    refused(&verdicts[2], FailureCause::RateLimitedAddress);
    assert_eq!(gate.world.auth.hashes_run(), 2);
}

#[test]
fn attempts_at_the_same_time_do_not_exceed_the_limit() {
    let gate = Gate::new(settings());
    let verdicts = gate.together(|tasks| {
        for n in 0..30 {
            tasks.ask(n % 2, "alice", &format!("guess{n}"), "192.0.2.1");
        }
    });
    let count = |cause| verdicts.iter().filter(|v| v.cause == Some(cause)).count();
    assert_eq!(count(FailureCause::WrongPassword), 10);
    assert_eq!(count(FailureCause::RateLimitedAccount), 20);
    assert_eq!(gate.world.auth.hashes_run(), 10);
}

#[test]
fn too_many_hashes_are_refused_at_once_and_not_charged() {
    let generous = Settings {
        per_address: 66,
        per_account: 66,
        ..settings()
    };
    let gate = Gate::new(generous);
    let verdicts = gate.together(|tasks| {
        tasks.ask(0, "alice", "first", "192.0.2.1");
        gate.wait_until_hashing();
        for n in 0..64 {
            tasks.ask(0, "alice", &format!("queued{n}"), "192.0.2.1");
        }
        tasks.ask(0, "alice", RIGHT, "192.0.2.1");
    });
    for verdict in &verdicts[..65] {
        refused(verdict, FailureCause::WrongPassword);
    }
    refused(&verdicts[65], FailureCause::Overloaded);
    gate.open();
    known(&gate.world.ask("alice", RIGHT, "192.0.2.1", 0));
    assert_eq!(gate.world.auth.hashes_run(), 66);
}

#[test]
fn what_a_hash_found_out_is_kept_when_nobody_waits_any_more() {
    let gate = Gate::new(settings());
    gate.together(|tasks| {
        tasks.ask(0, "alice", RIGHT, "192.0.2.1");
        gate.wait_until_hashing();
        tasks.asked.clear();
    });
    // The pool has one thread: when this is answered, the first hash is done.
    gate.open();
    known(&gate.world.ask("bob", RIGHT, "192.0.2.1", 0));
    known(&gate.world.ask("alice", RIGHT, "192.0.2.1", 0));
    assert_eq!(gate.world.auth.hashes_run(), 2);
}

#[test]
fn workers_on_threads_of_their_own_share_a_hash() {
    let gate = Gate::new(settings());
    let auth = Arc::clone(&gate.world.auth);
    let threads = [(); 2].map(|()| {
        let auth = Arc::clone(&auth);
        thread::spawn(move || {
            let question = password_question(0, "alice", RIGHT, "192.0.2.1");
            let worker = Local::new(auth);
            let verdict = block_on(worker.answer_at(&question, at(0)));
            known(&verdict).1
        })
    });
    gate.wait_until_hashing();
    let account = auth.checks.fingerprints.account(0, "alice");
    let waiting = || {
        let accounts = lock(auth.checks.accounts(&account).unwrap());
        let boardings = accounts.flights.values().flat_map(|f| f.boardings.values());
        boardings.map(|b| b.waiters.len()).sum::<usize>()
    };
    while waiting() < 2 {
        thread::yield_now();
    }
    gate.open();
    let [one, other] = threads.map(|thread| thread.join().unwrap());
    assert_eq!(one, other);
    assert_eq!(auth.hashes_run(), 1);
}

/// A world whose hashes wait while the gate is closed, as it is at first.
struct Gate {
    world: World,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    open: bool,
    hashing: bool,
}

/// Questions that were polled once.
struct Tasks<'a> {
    world: &'a World,
    asked: Vec<Asked>,
}

enum Asked {
    Answered(Verdict),
    Waiting(Pin<Box<dyn Future<Output = Verdict>>>),
}

impl Gate {
    fn new(settings: Settings) -> Self {
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        let world = World::with(settings, move |_, password| {
            let (state, changed) = &*shared;
            let mut state = state.lock().unwrap();
            state.hashing = true;
            changed.notify_all();
            while !state.open {
                state = changed.wait(state).unwrap();
            }
            Ok(password == RIGHT.as_bytes())
        });
        Self { world, state }
    }

    /// Asks everything with the gate closed, opens it, and gives all answers in order.
    fn together(&self, ask: impl FnOnce(&mut Tasks<'_>)) -> Vec<Verdict> {
        *self.state.0.lock().unwrap() = State::default();
        let mut tasks = Tasks {
            world: &self.world,
            asked: Vec::new(),
        };
        ask(&mut tasks);
        self.open();
        let answer = |asked| match asked {
            Asked::Answered(verdict) => verdict,
            Asked::Waiting(future) => block_on(future),
        };
        tasks.asked.into_iter().map(answer).collect()
    }

    fn open(&self) {
        self.state.0.lock().unwrap().open = true;
        self.state.1.notify_all();
    }

    fn wait_until_hashing(&self) {
        let mut state = self.state.0.lock().unwrap();
        while !state.hashing {
            state = self.state.1.wait(state).unwrap();
        }
    }
}

/// The pool waits for its threads, so a test that fails must let them go.
impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl Tasks<'_> {
    fn ask(&mut self, worker: usize, user: &str, password: &str, client: &str) {
        let worker = Rc::clone(&self.world.workers[worker]);
        let question = password_question(0, user, password, client);
        let mut future: Pin<Box<dyn Future<Output = Verdict>>> =
            Box::pin(async move { worker.answer_at(&question, at(0)).await });
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        self.asked.push(match polled {
            Poll::Ready(verdict) => Asked::Answered(verdict),
            Poll::Pending => Asked::Waiting(future),
        });
    }
}
