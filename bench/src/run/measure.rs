//! One round.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::account::{self, Usage, Used};
use crate::load::{Generators, Syscalls, Wanted};
use crate::metric::{Metric, Unit};
use crate::order::{Datagrams, Outcome};
use crate::result::Round;
use crate::scenario::{Load, Scenario};
use crate::subject::Subject;

/// Measures one scenario.
pub(super) struct Meter<'a> {
    pub(super) generators: Generators<'a>,
    pub(super) scenario: &'a Scenario,
    pub(super) time: Duration,
}

impl Meter<'_> {
    /// What the load costs a subject.
    pub(super) fn round(&self, subject: &Subject) -> Result<Round> {
        let mut job = self.generators.prepare(&self.wanted(subject))?;
        let before = Usage::of(subject.process.id())?;
        let outcome = job.go()?;
        let used = Usage::of(subject.process.id())?.since(&before);
        let mut figures = costs(self.scenario.unit(), &used, &outcome);
        figures.insert(Metric::Memory, mib(account::memory(subject.process.id())?));
        if matches!(self.scenario.load, Load::Open { .. }) {
            figures.extend(times(&outcome));
        }
        Ok(round(figures, outcome))
    }

    /// What idle connections take.
    pub(super) fn memory(&self, subject: &Subject) -> Result<Round> {
        let before = account::memory(subject.process.id())?;
        let mut job = self.generators.prepare(&self.wanted(subject))?;
        let outcome = job.go()?;
        let after = account::memory(subject.process.id())?;
        let grown = after.saturating_sub(before) as f64 / 1024.0;
        let figures = BTreeMap::from([
            (Metric::Memory, mib(after)),
            (
                Metric::MemoryPerConnection,
                grown / f64::from(self.scenario.load.connections()),
            ),
        ]);
        Ok(round(figures, outcome))
    }

    /// How many syscalls a subject makes for each unit of work, and over HTTP/3 for how many datagrams
    /// each: a short run of its own, with the making of the connections.
    pub(super) fn syscalls(&self, subject: &Subject) -> Result<BTreeMap<Metric, f64>> {
        let output = self.generators.place.path("syscalls");
        let syscalls = Syscalls::of(subject.process.id(), output)?;
        let mut job = self.generators.prepare(&Wanted {
            time: SYSCALLS,
            syscalls: Some(&syscalls),
            ..self.wanted(subject)
        })?;
        let outcome = job.go()?;
        // perf writes when the generator has ended.
        drop(job);
        let work = work(self.scenario.unit(), &outcome);
        if work == 0.0 {
            bail!("nothing was answered");
        }
        let calls = syscalls.count()?;
        let mut figures = BTreeMap::from([(Metric::Syscalls, calls.all as f64 / work)]);
        if let Some(Datagrams { sent, received }) = outcome.datagrams {
            // What clients receive was sent by the subject.
            for (metric, datagrams, calls) in [
                (Metric::DatagramsPerReceive, sent, calls.receives),
                (Metric::DatagramsPerSend, received, calls.sends),
            ] {
                figures.insert(metric, datagrams as f64 / calls.max(1) as f64);
            }
        }
        Ok(figures)
    }

    /// The scenario's load on a subject.
    pub(super) fn wanted<'b>(&'b self, subject: &'b Subject) -> Wanted<'b> {
        Wanted {
            scenario: self.scenario,
            target: &subject.target,
            logins: &subject.logins,
            protocol: subject.protocol,
            time: self.time,
            syscalls: None,
        }
    }
}

/// CPU time in seconds for a volume, else in microseconds.
fn costs(unit: Unit, used: &Used, outcome: &Outcome) -> BTreeMap<Metric, f64> {
    let work = work(unit, outcome);
    let scale = if unit == Unit::Gib { 1.0 } else { 1e6 };
    let cpu = used.cpu.as_secs_f64() * scale / work;
    let seconds = outcome.milliseconds as f64 / 1e3;
    let datagrams = outcome
        .datagrams
        .map(|all| (all.sent + all.received) as f64 / work);
    let figures = [
        (Metric::Cpu, cpu),
        (Metric::CpuUser, cpu * used.user),
        (Metric::CpuSystem, cpu * (1.0 - used.user)),
        (Metric::Switches, used.switches as f64 / work),
        (Metric::Rate, work / seconds),
        (Metric::Busy, 100.0 * used.cpu.as_secs_f64() / seconds),
    ];
    // A round without work has errors to tell of, and no figures.
    figures
        .into_iter()
        .chain(datagrams.map(|datagrams| (Metric::Datagrams, datagrams)))
        .filter(|(_, figure)| figure.is_finite())
        .collect()
}

/// Quantiles of the answers' times.
pub(super) fn times(outcome: &Outcome) -> BTreeMap<Metric, f64> {
    let Some(latency) = outcome.latency else {
        return BTreeMap::new();
    };
    BTreeMap::from([
        (Metric::LatencyP50, latency.p50),
        (Metric::LatencyP99, latency.p99),
        (Metric::LatencyP999, latency.p999),
    ])
}

/// How much was done.
pub(super) fn work(unit: Unit, outcome: &Outcome) -> f64 {
    match unit {
        Unit::Gib => outcome.bytes as f64 / GIB,
        Unit::Connection | Unit::Message | Unit::Request => outcome.done as f64,
    }
}

/// With what the generator says of errors.
pub(super) fn round(figures: BTreeMap<Metric, f64>, outcome: Outcome) -> Round {
    Round {
        figures,
        done: outcome.done,
        errors: outcome.errors,
        first_error: outcome.first_error,
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// How long system calls are counted.
const SYSCALLS: Duration = Duration::from_millis(500);
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn used() -> Used {
        Used {
            cpu: Duration::from_millis(800),
            user: 0.25,
            switches: 400,
        }
    }

    #[test]
    fn cost_is_of_each_request_or_of_a_gib() {
        let outcome = Outcome {
            done: 40_000,
            bytes: 1 << 29,
            milliseconds: 2000,
            ..Outcome::default()
        };
        let each = costs(Unit::Request, &used(), &outcome);
        assert_eq!(each[&Metric::Cpu], 20.0);
        assert_eq!(
            (each[&Metric::CpuUser], each[&Metric::CpuSystem]),
            (5.0, 15.0)
        );
        assert_eq!(each[&Metric::Busy], 40.0);
        assert_eq!(
            (each[&Metric::Switches], each[&Metric::Rate]),
            (0.01, 20_000.0)
        );
        let volume = costs(Unit::Gib, &used(), &outcome);
        assert_eq!((volume[&Metric::Cpu], volume[&Metric::Rate]), (1.6, 0.25));
    }

    #[test]
    fn datagrams_are_of_both_ways() {
        let outcome = Outcome {
            done: 100,
            milliseconds: 1,
            datagrams: Some(Datagrams {
                sent: 150,
                received: 250,
            }),
            ..Outcome::default()
        };
        let each = costs(Unit::Request, &used(), &outcome);
        assert_eq!(each[&Metric::Datagrams], 4.0);
    }

    #[test]
    fn nothing_done_has_no_cost() {
        assert_eq!(
            costs(Unit::Request, &used(), &Outcome::default()),
            BTreeMap::new()
        );
    }
}
