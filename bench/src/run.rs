//! Running scenarios: every subject in turn, again and again.

mod back_end;
mod deployment;
mod measure;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use self::back_end::BackEnd;
pub(crate) use self::deployment::deployment;
use self::measure::Meter;
use crate::cable::{Cable, Network};
use crate::cores::Cores;
use crate::load::{Generators, Syscalls};
use crate::place::Place;
use crate::result::{Finding, Round, Rounds, findings};
use crate::scenario::{Load, Scenario};
use crate::subject::{Kind, Setting, Subject};

/// How long, and how often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    /// Idle connections are divided by this.
    pub(crate) fewer: u32,
}

/// Everything that runs need.
pub(crate) struct Bench<'a> {
    place: &'a Place,
    programs: &'a Path,
    effort: Effort,
    /// Where clients are over veth.
    cable: Option<Cable>,
    cores: Cores,
    back_end: BackEnd,
    /// Why syscalls cannot be counted, if so.
    pub(crate) uncounted: Option<String>,
}

impl Effort {
    /// For figures that are worth keeping.
    pub(crate) const FULL: Self = Self {
        rounds: 6,
        time: Duration::from_secs(4),
        fewer: 1,
    };
    /// For a look. By chance alone, the ranges of two runs with four rounds each do not meet in one case
    /// of 35; with eight rounds in one of 6,435.
    pub(crate) const QUICK: Self = Self {
        rounds: 8,
        time: Duration::from_millis(400),
        fewer: 4,
    };
}

impl<'a> Bench<'a> {
    /// Starts the back-end, and moves this process to the core where it works.
    /// Scenarios over veth need the cable.
    pub(crate) fn start(
        place: &'a Place,
        programs: &'a Path,
        effort: Effort,
        cable: Option<Cable>,
    ) -> Result<Self> {
        let uncounted = Syscalls::is_possible().err();
        let cores = Cores::take()?;
        Ok(Self {
            place,
            programs,
            effort,
            cable,
            cores,
            back_end: BackEnd::start(place, programs)?,
            uncounted: uncounted.map(|error| format!("{error:#}")),
        })
    }

    /// Runs one scenario with those of `kinds` that can do it.
    pub(crate) fn run(&self, scenario: &Scenario, kinds: &[Kind]) -> Result<Vec<Finding>> {
        let kinds: Vec<Kind> = kinds
            .iter()
            .copied()
            .filter(|kind| scenario.subjects.contains(kind))
            .collect();
        let scenario = self.sized(scenario);
        let fresh = matches!(scenario.load, Load::Hold { .. });
        let all = if fresh {
            self.with_fresh(&scenario, &kinds)
        } else {
            self.with_warm(&scenario, &kinds)
        };
        let all = all.with_context(|| scenario.name.clone())?;
        Ok(findings(&scenario.name, scenario.unit(), &all))
    }

    /// Subjects that stay for all rounds.
    fn with_warm(&self, scenario: &Scenario, kinds: &[Kind]) -> Result<Vec<Rounds>> {
        let mut subjects = Vec::new();
        for &kind in kinds {
            let subject = self.subject(kind, scenario)?;
            let meter = self.meter(scenario);
            let warm = meter.generators.warm_up(&meter.wanted(&subject));
            let warm = warm.with_context(|| kind.name())?;
            subjects.push((subject, Vec::new(), warm));
        }
        let count = subjects.len();
        for round in 0..self.effort.rounds {
            for at in 0..count {
                // Each begins once, so that none always follows the same.
                let Some((subject, rounds, _)) = subjects.get_mut((at + round) % count) else {
                    continue;
                };
                let measured = self.meter(scenario).round(subject);
                rounds.push(measured.with_context(|| subject.kind.name())?);
                subject.process.expect_running()?;
            }
        }
        // Before others are answered, whose lines would stand for missing ones.
        for (subject, rounds, warm) in &mut subjects {
            count_unlogged(scenario, subject, *warm, rounds)?;
        }
        if self.uncounted.is_none() {
            for (subject, rounds, _) in &mut subjects {
                let syscalls = self.meter(scenario).syscalls(subject);
                let syscalls = syscalls.with_context(|| subject.kind.name())?;
                if let Some(first) = rounds.first_mut() {
                    first.figures.extend(syscalls);
                }
            }
        }
        let all = subjects.into_iter();
        Ok(all
            .map(|(subject, rounds, _)| named(subject.kind, rounds))
            .collect())
    }

    /// Subjects that are started for each round: what memory was needed before is not given back.
    fn with_fresh(&self, scenario: &Scenario, kinds: &[Kind]) -> Result<Vec<Rounds>> {
        let mut all: Vec<Rounds> = kinds.iter().map(|&kind| named(kind, Vec::new())).collect();
        for _ in 0..self.effort.rounds {
            for (rounds, &kind) in all.iter_mut().zip(kinds) {
                let mut subject = self.subject(kind, scenario)?;
                let measured = self.meter(scenario).memory(&subject);
                let mut measured = [measured.with_context(|| kind.name())?];
                subject.process.expect_running()?;
                count_unlogged(scenario, &subject, 0, &mut measured)?;
                rounds.rounds.extend(measured);
            }
        }
        Ok(all)
    }

    fn subject(&self, kind: Kind, scenario: &Scenario) -> Result<Subject> {
        let link = scenario.back_end;
        Subject::start(
            kind,
            &Setting {
                place: self.place,
                programs: self.programs,
                cores: self.cores,
                back_end: self.back_end.address(link),
                link,
                protocol: scenario.protocol_of(kind),
                network: scenario.network,
            },
        )
    }

    fn meter<'b>(&'b self, scenario: &'b Scenario) -> Meter<'b> {
        Meter {
            generators: self.generators(scenario.network),
            scenario,
            time: self.effort.time,
        }
    }

    fn generators(&self, network: Network) -> Generators<'_> {
        Generators {
            place: self.place,
            programs: self.programs,
            cable: match network {
                Network::Loopback => None,
                Network::Veth => self.cable.as_ref(),
            },
        }
    }

    fn sized(&self, scenario: &Scenario) -> Scenario {
        let mut scenario = scenario.clone();
        if let Load::Hold { connections, .. } = &mut scenario.load {
            *connections = (*connections / self.effort.fewer).max(1);
        }
        scenario
    }
}

/// Answers without a line in the access log are errors, those of `warm` others before the rounds too.
fn count_unlogged(
    scenario: &Scenario,
    subject: &Subject,
    warm: u64,
    rounds: &mut [Round],
) -> Result<()> {
    if !scenario.load.is_logged() {
        return Ok(());
    }
    let missing = subject.unlogged(warm + rounds.iter().map(|round| round.done).sum::<u64>())?;
    if let (Some(last), 1..) = (rounds.last_mut(), missing) {
        last.errors += missing;
        last.first_error
            .get_or_insert_with(|| "no line in the access log".to_owned());
    }
    Ok(())
}

fn named(kind: Kind, rounds: Vec<Round>) -> Rounds {
    Rounds {
        subject: kind.name(),
        rounds,
    }
}
