//! Everything restarts, over and over, while those who may not try without a pause.

use std::sync::atomic::{AtomicBool, Ordering};

use gateway_tests::harness::{poll, scale};
use gateway_tests::host::{Process, Who};
use serde_json::Value;

use crate::life::{Life, Service};
use crate::town::Town;

/// With all programs: connect(2) itself is refused.
#[test]
fn nobody_slips_through_while_everything_restarts() {
    storm(&[]);
}

/// With the boundary alone: each attempt is a packet that is refused.
#[test]
fn nobody_slips_through_the_boundary_while_everything_restarts() {
    storm(&["--programs", "ingress"]);
}

fn storm(programs: &[&str]) {
    let Some(life) = Life::new() else { return };
    let mut town = Town::new(&life);
    let strangers = [life.host.outsider(), life.host.hosted()];
    let mut accepted = 0;
    for who in &strangers {
        accepted += control(&town, who);
        poll::until("the services have told of them", || {
            (town.accepted() == accepted).then_some(())
        });
    }

    let mut guard = life.start_with(programs);
    town.start_gateway();
    let mut asking = Asking::new(&town);
    let mut attack = Attack::new(strangers);
    attack.begin(&town);
    let rounds = scale(3, 20);
    for round in 0..rounds {
        let end = [Service::kill, Service::stop][round % 2];
        guard = while_visited(&town, || {
            asking.goes_on();
            end(guard);
            attack.goes_on();
            asking.goes_on();
            let next = life.start_with(programs);
            asking.goes_on();
            attack.goes_on();
            next
        });

        town.kill_gateway();
        attack.goes_on();
        town.start_gateway();
        town.visit();
        asking.goes_on();

        if round % SERVICE_EVERY == 0 {
            attack.pause_those_inside();
            town.kill_services();
            life.notices_the_service(false);
            attack.goes_on();
            town.make_services_cgroup();
            life.notices_the_service(true);
            town.start_services();
            attack.begin(&town);
            asking.goes_on_after_failures();
            town.visit();
        }
    }
    let least = scale(20_000, 400_000);
    while attack.attempts() < least {
        attack.goes_on();
        asking.goes_on();
    }
    asking.end();
    let made = attack.end();
    assert!(made.attempts >= least);
    assert_eq!(made.reached, 0, "of {} attempts", made.attempts);
    assert_eq!(town.accepted(), accepted, "of {} attempts", made.attempts);
    eprintln!("{} attempts, {rounds} rounds, 0 slips", made.attempts);
    guard.stop();

    // What kept them out was the guard.
    life.done(&["detach"]);
    for who in [life.host.outsider(), life.host.hosted()] {
        control(&town, &who);
    }
}

/// Without a guard every attempt of these is accepted.
#[track_caller]
fn control(town: &Town<'_>, who: &Who) -> usize {
    let mut hammer = town.hammer(who, Some(CONTROL));
    assert!(hammer.wait().success(), "{}", hammer.told());
    let made = Made::of(&hammer.lines().pop().expect("it tells"));
    assert_eq!((made.attempts, made.reached), (CONTROL, CONTROL), "{who:?}");
    usize::try_from(made.reached).unwrap()
}

/// Does something while visitors come to the gateway, of whom none may be turned away.
#[track_caller]
fn while_visited<T>(town: &Town<'_>, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                town.visit();
            }
            town.visit();
        });
        // Also if it panics: the visitors must come to an end.
        let _end = End(&done);
        work()
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Those who may not: one process each.
struct Attack {
    strangers: [Who; 2],
    running: [Option<Process>; 2],
    /// By processes that have ended.
    made: Made,
}

/// What came of attempts.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    attempts: u64,
    reached: u64,
}

impl Attack {
    fn new(strangers: [Who; 2]) -> Self {
        Self {
            strangers,
            running: [None, None],
            made: Made::default(),
        }
    }

    /// Starts those that do not run.
    fn begin(&mut self, town: &Town<'_>) {
        for (who, running) in self.strangers.iter().zip(&mut self.running) {
            running.get_or_insert_with(|| town.hammer(who, None));
        }
        self.goes_on();
    }

    /// Waits until each that runs has tried some more.
    #[track_caller]
    fn goes_on(&mut self) {
        for hammer in self.running.iter_mut().flatten() {
            let before = Made::of(&hammer.ask("count")).attempts;
            poll::until("the attack goes on", || {
                let now = Made::of(&hammer.ask("count"));
                assert_eq!(now.reached, 0, "of {} attempts", now.attempts);
                (now.attempts > before + MORE).then_some(())
            });
        }
    }

    /// Ends the one in the service's cgroup, which is to be removed.
    fn pause_those_inside(&mut self) {
        let [_, inside] = &mut self.running;
        self.made.add(inside.take().map(ended));
    }

    fn attempts(&mut self) -> u64 {
        let running = self.running.iter_mut().flatten();
        let attempts = running.map(|hammer| Made::of(&hammer.ask("count")).attempts);
        self.made.attempts + attempts.sum::<u64>()
    }

    /// Ends it all.
    fn end(mut self) -> Made {
        for running in &mut self.running {
            self.made.add(running.take().map(ended));
        }
        self.made
    }
}

impl Made {
    fn of(counts: &Value) -> Self {
        Self {
            attempts: counts["attempts"].as_u64().unwrap(),
            reached: counts["reached"].as_u64().unwrap(),
        }
    }

    fn add(&mut self, more: Option<Self>) {
        let more = more.unwrap_or_default();
        self.attempts += more.attempts;
        self.reached += more.reached;
    }
}

fn ended(mut hammer: Process) -> Made {
    hammer.tell("end");
    assert!(hammer.wait().success(), "{}", hammer.told());
    Made::of(&hammer.lines().pop().expect("it tells"))
}

/// Somebody in the gateway's slice: new connections and a kept one, by turns.
struct Asking {
    process: Process,
    /// While the service itself was down.
    failed: u64,
}

impl Asking {
    fn new(town: &Town<'_>) -> Self {
        Self {
            process: town.ask("gateway.slice/asking.service"),
            failed: 0,
        }
    }

    /// Waits until it has asked some more, and got an answer each time.
    #[track_caller]
    fn goes_on(&mut self) {
        let before = self.counts().0;
        poll::until("somebody in the slice asks", || {
            let (asked, failed, last) = self.counts();
            assert_eq!(failed, self.failed, "of {asked}: {last}");
            (asked >= before + ASKED).then_some(())
        });
    }

    /// The service was down: waits until it answers again.
    #[track_caller]
    fn goes_on_after_failures(&mut self) {
        let (mut asked, mut failed, _) = self.counts();
        poll::until("the service answers again", || {
            let now = self.counts();
            if now.1 > failed {
                (asked, failed) = (now.0, now.1);
            }
            (now.0 >= asked + ASKED).then_some(())
        });
        self.failed = failed;
        self.goes_on();
    }

    fn counts(&mut self) -> (u64, u64, String) {
        let counts = self.process.ask("count");
        let number = |name: &str| counts[name].as_u64().unwrap();
        (
            number("asked"),
            number("failed"),
            counts["last_failure"].to_string(),
        )
    }

    #[track_caller]
    fn end(mut self) {
        self.goes_on();
        self.process.tell("end");
        assert!(self.process.wait().success(), "{}", self.process.told());
    }
}

/// So many attempts each show what happens without a guard.
const CONTROL: u64 = 500;

/// More attempts than may have been under way.
const MORE: u64 = 200;

/// By a new connection and by the kept one, twice each.
const ASKED: u64 = 4;

/// In every so many rounds the service's cgroup is made anew.
const SERVICE_EVERY: usize = 4;
