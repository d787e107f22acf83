//! A seeded simulation of promises P1 to P4: the real serving code between model clients and a
//! model back-end, over in-process byte streams and a clock that only the simulation moves.
//!
//! Each run interleaves at random: bytes in pieces of any size, connections that come, end and
//! break, time-outs, answers that are early, late, cut or wrong. After every step the models check
//! what has reached them ([`backend`], [`client`]).
//!
//! `GATEWAY_TEST_SEED` sets the seed of all runs, `GATEWAY_TEST_CASE` picks one of them.

mod backend;
mod client;
mod request;
mod site;
mod stream;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::yield_now;

use self::backend::Backends;
use self::client::Visitor;
use self::site::Site;
pub(crate) use self::stream::dial;
use crate::worker::Worker;

#[test]
fn no_interleaving_breaks_a_promise() {
    let seed = number("GATEWAY_TEST_SEED").unwrap_or(SEED);
    let full = std::env::var("GATEWAY_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let cases = match number("GATEWAY_TEST_CASE") {
        Some(case) => case..case + 1,
        None => 0..if full { 100_000 } else { 2_000 },
    };
    let site = Site::start();
    let mut tally = Tally::default();
    for case in cases.clone() {
        let run = AssertUnwindSafe(|| run(&site, Random::new(seed, case), &mut tally));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("to reproduce: GATEWAY_TEST_SEED={seed} GATEWAY_TEST_CASE={case}");
            resume_unwind(panic);
        }
    }
    println!("{} runs: {tally:?}", cases.end - cases.start);
    // The runs must come to what they are for.
    if cases.end - cases.start >= 2_000 {
        for what in [
            "answer whole",
            "answer of the gateway",
            "client reset",
            "back-end closed",
            "request whole",
            "request of alice",
            "time passed",
            "dial refused",
            "answer cut",
            "signed request whole",
        ] {
            assert!(
                tally.0.get(what).is_some_and(|count| *count >= 100),
                "{what}: {tally:?}"
            );
        }
    }
}

/// What happened, so that it can be seen that everything did.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

fn run(site: &Site, mut random: Random, tally: &mut Tally) {
    site.runtime().block_on(async {
        let worker = site.worker();
        let mut backends = Backends::default();
        let mut visitors: Vec<Visitor> = Vec::new();
        for _ in 0..20 + random.below(60) {
            step(&worker, &mut random, &mut visitors, &mut backends, tally).await;
            for _ in 0..random.below(12) {
                yield_now().await;
            }
            backends.check(&visitors, tally);
            for visitor in &mut visitors {
                visitor.check(&backends, tally);
            }
        }
        // Nobody is left behind: whatever state a connection is in, time ends it.
        stream::hang_up();
        drop(backends);
        let tasks: Vec<_> = visitors.into_iter().map(Visitor::leave).collect();
        for _ in 0..LAST_STEPS {
            for _ in 0..20 {
                yield_now().await;
            }
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        for task in tasks {
            assert!(task.is_finished(), "a connection outlives its client");
            task.await.expect("no connection's task panics");
        }
        drop::<Rc<Worker>>(worker);
    });
}

async fn step(
    worker: &Rc<Worker>,
    random: &mut Random,
    visitors: &mut Vec<Visitor>,
    backends: &mut Backends,
    tally: &mut Tally,
) {
    let here: Vec<usize> = (0..visitors.len())
        .filter(|at| visitors[*at].is_here())
        .collect();
    if here.is_empty() || (here.len() < 4 && random.once_in(8)) {
        visitors.push(Visitor::arrive(worker, visitors.len(), random));
        return;
    }
    let at = random.pick(&here);
    match random.below(20) {
        0..=8 => visitors[at].send(random, tally),
        9..=15 => backends.act(visitors, random, tally),
        16 => {
            let most = random.pick(&[10, 1_000, 40_000, 400_000]);
            tokio::time::advance(Duration::from_millis(random.next() % most)).await;
            tally.count("time passed");
        }
        17 if random.once_in(3) => visitors[at].reset(tally),
        18 if random.once_in(3) => visitors[at].end_sending(),
        19 => stream::refuse(random.once_in(4)),
        _ => {}
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64, case: u64) -> Self {
        let mut random = Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn once_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A piece to send next: usually small, sometimes all there is.
    fn piece(&mut self, left: usize) -> usize {
        let most = self.pick(&[1, 7, 100, 5_000, left]);
        left.min(1 + self.below(most.max(1)))
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: expected a number, not {text:?}")),
    )
}

/// What clients write where they try to choose a value that is not theirs to choose.
const FORGED: &[u8] = b"forged";

/// What back-ends write where nobody asked them.
const POISON: &[u8] = b"poison";

/// Longer than every time-out of the site, in minutes.
const LAST_STEPS: usize = 40;

const SEED: u64 = 20_261_122;

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
