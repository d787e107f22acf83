//! A seeded simulation of promises P1 to P4: the real serving code between model clients and a
//! model back-end, over in-process byte streams and a clock that only the simulation moves.
//!
//! Each run interleaves at random: bytes in pieces of any size, connections that come, end and
//! break, time-outs, clients that are too slow, a pool with few places, answers that are early,
//! late, cut or wrong, WebSockets that open or are refused. After every step the models check what
//! has reached them ([`backend`], [`client`]). In the end time must end every connection, also
//! where client and back-end live on in silence; then newcomers must be served.
//!
//! `GATEWAY_TEST_SEED` sets the seed of all runs, `GATEWAY_TEST_CASE` picks one of them.

mod backend;
mod client;
mod request;
mod rest;
mod site;
mod stream;
mod tunnel;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use self::backend::Backends;
use self::client::Visitor;
use self::site::Site;
pub(crate) use self::stream::{dial, traffic};
use crate::worker::Worker;

#[test]
fn no_interleaving_breaks_a_promise() {
    let seed = number("GATEWAY_TEST_SEED").unwrap_or(SEED);
    let full = std::env::var("GATEWAY_TEST_SCALE").is_ok_and(|scale| scale == "full");
    let cases = match number("GATEWAY_TEST_CASE") {
        Some(case) => case..case + 1,
        None => 0..if full { 100_000 } else { 2_000 },
    };
    let tally = run_all(seed, cases.clone());
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
            "answer to nothing",
            "tunnel opened",
            "tunnel at rest",
            "tunnel at rest, all sent",
            "upgrade refused",
            "upgrade refused with bytes behind",
            "client stays to the end",
            "client and back-end stay to the end",
            "refusals_total{reason=\"queue_full\"}",
            "refusals_total{reason=\"queue_timeout\"}",
            "slow_clients_total{direction=\"in\"}",
            "slow_clients_total{direction=\"out\"}",
        ] {
            assert!(
                tally.0.get(what).is_some_and(|count| *count >= 100),
                "{what}: {tally:?}"
            );
        }
    }
}

/// Runs cases on all processors: each is alone on its thread, and knows of no other.
fn run_all(seed: u64, cases: Range<u64>) -> Tally {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let shares = (0..threads).map(|first| {
            let cases = cases.clone().skip(first).step_by(threads);
            scope.spawn(move || run_some(seed, cases))
        });
        let shares: Vec<_> = shares.collect();
        let mut tally = Tally::default();
        for share in shares {
            match share.join() {
                Ok(share) => tally.add(share),
                Err(panic) => resume_unwind(panic),
            }
        }
        tally
    })
}

fn run_some(seed: u64, cases: impl Iterator<Item = u64>) -> Tally {
    let site = Site::start();
    let mut tally = Tally::default();
    for case in cases {
        let run = AssertUnwindSafe(|| run(&site, Random::new(seed, case), &mut tally));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("to reproduce: GATEWAY_TEST_SEED={seed} GATEWAY_TEST_CASE={case}");
            resume_unwind(panic);
        }
    }
    for name in [
        "refusals_total{reason=\"queue_full\"}",
        "refusals_total{reason=\"queue_timeout\"}",
        "slow_clients_total{direction=\"in\"}",
        "slow_clients_total{direction=\"out\"}",
    ] {
        tally
            .0
            .insert(name, site.counted(&format!("connect_gateway_{name}")));
    }
    tally
}

/// What happened, so that it can be seen that everything did.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

fn run(site: &Site, mut random: Random, tally: &mut Tally) {
    site.runtime().block_on(async {
        let worker = site.worker();
        let mut backends = Backends::default();
        let mut visitors: Vec<Visitor> = Vec::new();
        for _ in 0..40 + random.below(100) {
            step(&worker, &mut random, &mut visitors, &mut backends, tally).await;
            breathe(random.below(12)).await;
            backends.check(&visitors, tally);
            for visitor in &mut visitors {
                visitor.check(&backends, tally);
            }
        }
        come_to_rest(&mut visitors, &mut backends, tally).await;
        end(&mut random, &mut visitors, &mut backends, tally).await;
        serve_newcomers(&worker, &mut random, &mut visitors, &mut backends, tally).await;
        drop::<Rc<Worker>>(worker);
    });
}

/// Nothing is held back: what one side of a tunnel has sent is with the other as soon as all read.
async fn come_to_rest(visitors: &mut [Visitor], backends: &mut Backends, tally: &mut Tally) {
    if visitors.iter().all(|visitor| visitor.tunnel().is_none()) {
        return;
    }
    let (mut before, mut unchanged) = (None, 0);
    // What is on its way through several buffers may show in none for a moment.
    while unchanged < 3 {
        breathe(20).await;
        let mut got = backends.receive_all();
        backends.check(visitors, tally);
        for visitor in &mut *visitors {
            if visitor.tunnel().is_some() {
                visitor.read_on();
            }
            visitor.check(backends, tally);
            got += visitor.tunnel().map_or(0, |(_, _, got)| got);
        }
        match before.replace(got) == Some(got) {
            true => unchanged += 1,
            false => unchanged = 0,
        }
    }
    for (tag, sent, got) in visitors.iter().filter_map(Visitor::tunnel) {
        let mut others = backends.tunnels().filter(|(other, ..)| *other == tag);
        if let Some((_, their_got, their_sent)) = others.next() {
            assert_eq!((their_got, got), (sent, their_sent), "the tunnel of {tag}");
            tally.count("tunnel at rest");
            if got == tunnel::down(tag).len() {
                tally.count("tunnel at rest, all sent");
            }
        }
    }
}

/// Nobody is left behind: whatever state a connection is in, time ends it, also if nobody hangs up.
async fn end(
    random: &mut Random,
    visitors: &mut [Visitor],
    backends: &mut Backends,
    tally: &mut Tally,
) {
    stream::hang_up();
    let silent = random.once_in(2);
    if !silent {
        backends.close();
    }
    for visitor in &mut *visitors {
        if random.once_in(4) {
            visitor.reset();
        } else if visitor.is_here() {
            tally.count("client stays to the end");
            if silent {
                tally.count("client and back-end stay to the end");
            }
        }
    }
    // Short steps, so that time-outs come one by one; or such that several are over at once.
    let step = Duration::from_secs(random.pick(&[7, 7, 7, 60]));
    let begun = Instant::now();
    while begun.elapsed() < LAST {
        breathe(4).await;
        if visitors
            .iter_mut()
            .all(|visitor| visitor.task().is_finished())
        {
            break;
        }
        tokio::time::advance(step).await;
    }
    for visitor in visitors {
        assert!(visitor.task().is_finished(), "a connection has no end");
        visitor.task().await.expect("no connection's task panics");
    }
}

/// Whatever has happened, the pool takes as many as ever: two at once, and the third from the queue.
async fn serve_newcomers(
    worker: &Rc<Worker>,
    random: &mut Random,
    visitors: &mut Vec<Visitor>,
    backends: &mut Backends,
    tally: &mut Tally,
) {
    stream::refuse(false);
    let first = visitors.len();
    let mut tags = Vec::new();
    for index in first..=first + site::IN_FLIGHT {
        let mut visitor = Visitor::arrive(worker, index, random);
        visitor.read_on();
        tags.push(visitor.ask());
        visitors.push(visitor);
    }
    for expected in [site::IN_FLIGHT, 1] {
        breathe(20).await;
        backends.receive_all();
        backends.check(visitors, tally);
        assert_eq!(backends.serve(&tags), expected, "the pool's places");
    }
    breathe(20).await;
    for visitor in &mut visitors[first..] {
        visitor.check(backends, tally);
        assert!(visitor.is_served(), "a newcomer is not served");
    }
}

/// Lets the gateway do so much; after 20 it has done all that it can do now.
async fn breathe(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
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
        9..=14 => backends.act(visitors, random, tally),
        15 | 16 => {
            let most = random.pick(&[10, 1_000, 7_000, 7_000, 7_000, 7_000, 7_000, 400_000]);
            for _ in 0..=random.below(4) {
                tokio::time::advance(Duration::from_millis(random.next() % most)).await;
                breathe(4).await;
            }
            tally.count("time passed");
        }
        17 if random.once_in(6) => {
            visitors[at].reset();
            tally.count("client reset");
        }
        18 if random.once_in(6) => visitors[at].end_sending(),
        19 => stream::refuse(random.once_in(8)),
        _ => {}
    }
}

/// SplitMix64.
struct Random {
    state: u64,
    /// Whether pieces are whole, usually.
    hasty: bool,
}

impl Random {
    fn new(seed: u64, case: u64) -> Self {
        let mut random = Self {
            state: seed ^ case.wrapping_mul(0xd134_2543_de82_ef95),
            hasty: false,
        };
        random.next();
        random.hasty = random.once_in(2);
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
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

    /// A piece to send next. In half of the runs most are all there is, so that much happens; in
    /// the others most are small.
    fn piece(&mut self, left: usize) -> usize {
        if self.hasty && !self.once_in(4) {
            return left;
        }
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

/// Longer than the site's time-outs, of which the requests that a client has sent ahead take one
/// after the other.
const LAST: Duration = Duration::from_secs(90 * 60);

const SEED: u64 = 20_261_122;

/// So many bytes of a text, over and over.
fn fill(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.repeat(length.div_ceil(text.len())).into_bytes();
    bytes.truncate(length);
    bytes
}
