//! What came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use gateway_tests::harness::{Gateway, poll};

use crate::failure::{Failure, Struck};
use crate::town::Town;
use crate::work::Work;

/// What visitors counted.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Tally>);

#[derive(Clone, Debug, Default)]
struct Tally {
    done: BTreeMap<Work, u64>,
    faults: usize,
    explained: u64,
    unexplained: Vec<String>,
}

impl Counts {
    /// Counts one thing that a visitor did, how many faults were injected meanwhile, and whether
    /// those that could show in it explain what went wrong.
    pub(crate) fn count(
        &self,
        visitor: u64,
        work: Work,
        outcome: &Result<bool, Failure>,
        faults: usize,
        struck: Struck,
    ) {
        let mut tally = self.0.lock().unwrap();
        *tally.done.entry(work).or_default() += 1;
        tally.faults += faults;
        match outcome {
            Ok(_) => {}
            Err(failure) if failure.is_explained_by(struck) => tally.explained += 1,
            Err(failure) => tally
                .unexplained
                .push(format!("visitor {visitor}, {work:?}: {failure:?}")),
        }
    }
}

/// The gateway at rest: no client is there, and its connections to back-ends are over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    memory: u64,
    descriptors: usize,
}

impl Rest {
    pub(crate) fn of(town: &Town) -> Self {
        let gateway = &*town.gateway;
        poll::until("no client is left", || {
            let open = gateway
                .metrics()
                .sum("connect_gateway_connections_open", &[]);
            (open == 0.0).then_some(())
        });
        // For longer than idle connections to back-ends are kept.
        let descriptors = poll::settled("descriptors", Duration::from_secs(5), || {
            descriptors(gateway)
        });
        Self {
            memory: gateway.resident_memory(),
            descriptors,
        }
    }
}

fn descriptors(gateway: &Gateway) -> usize {
    let directory = format!("/proc/{}/fd", gateway.pid());
    let entries = std::fs::read_dir(directory).expect("the gateway runs");
    entries.count()
}

/// What is printed at the end.
#[derive(Debug)]
pub(crate) struct Report {
    tally: Tally,
    warm: Rest,
    end: Rest,
}

impl Report {
    pub(crate) fn new(town: &Town, warm: Rest, end: Rest) -> Self {
        Self {
            tally: town.counts.0.lock().unwrap().clone(),
            warm,
            end,
        }
    }

    /// Everything is explained, nothing has grown, and something was tried.
    pub(crate) fn is_good(&self) -> bool {
        self.tally.unexplained.is_empty()
            && self.growth() < GROWTH
            && self.end.descriptors <= self.warm.descriptors
            && self.tally.done.len() == WORKS
            && self.tally.explained > 0
    }

    /// Of memory, as a part of what was there when it was warm.
    fn growth(&self) -> f64 {
        self.end.memory as f64 / self.warm.memory as f64 - 1.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            done,
            faults,
            explained,
            unexplained,
        } = &self.tally;
        let total: u64 = done.values().sum();
        writeln!(f, "requests: {total} {done:?}")?;
        writeln!(f, "faults injected: {faults}")?;
        let count = unexplained.len();
        writeln!(f, "errors: {explained} explained, {count} unexplained")?;
        for error in unexplained.iter().take(SHOWN) {
            writeln!(f, "  {error}")?;
        }
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (warm, end) = (mebibytes(self.warm.memory), mebibytes(self.end.memory));
        let growth = self.growth() * 100.0;
        writeln!(
            f,
            "memory: {warm:.1} MiB warm, {end:.1} MiB at the end ({growth:+.1} %)"
        )?;
        let (warm, end) = (self.warm.descriptors, self.end.descriptors);
        writeln!(f, "descriptors: {warm} warm, {end} at the end")
    }
}

/// The memory that may come on top, as a part.
const GROWTH: f64 = 0.05;

/// How many kinds of work there are.
const WORKS: usize = 12;

/// How many unexplained errors are shown.
const SHOWN: usize = 20;
