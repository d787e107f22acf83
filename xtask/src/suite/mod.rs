//! `cargo xtask test` and `prove`: every check, each as a step; the last line counts them.

mod demo;
mod steps;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

pub(crate) use crate::suite::steps::test;
pub(crate) use crate::suite::tally::Tally;
use crate::workspace::Workspace;

/// How much of each test is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// The counts that the issues name.
    Full,
    /// The same assertions, fewer repetitions.
    Short,
}

impl Scale {
    /// As `GATEWAY_TEST_SCALE` tells the tests.
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Short => "short",
        }
    }

    /// How long each fuzz target runs.
    fn fuzz(self) -> Duration {
        match self {
            Self::Full => Duration::from_secs(60),
            Self::Short => Duration::from_secs(3),
        }
    }
}

/// Runs every step, also after one that failed. Succeeds if all did.
pub(crate) fn run(workspace: &Workspace, scale: Scale) -> Result<ExitCode> {
    let mut suite = Suite::default();
    steps::run(&mut suite, workspace, scale);
    Ok(suite.finish())
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Suite {
    tally: Tally,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    passed: bool,
}

impl Suite {
    /// Runs a step. It counts as one, beside the tests that it counts itself.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce(&mut Tally) -> Result<()>) {
        println!("==> {name}");
        let begun = Instant::now();
        let result = work(&mut self.tally);
        let step = Step {
            name: name.to_owned(),
            took: begun.elapsed(),
            passed: result.is_ok(),
        };
        if let Err(error) = result {
            println!("{name}: {error:#}");
        }
        self.tally.count(step.passed);
        println!("<== {step}");
        self.steps.push(step);
    }

    /// Shows how long each step took, and as the last line what passed and what failed.
    pub(crate) fn finish(self) -> ExitCode {
        self.report();
        let Tally { passed, failed } = self.tally;
        println!("{passed} passed, {failed} failed");
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn report(&self) {
        println!("\nSteps:");
        for step in &self.steps {
            println!("  {step}");
        }
        let total: Duration = self.steps.iter().map(|step| step.took).sum();
        println!("  {:>7.1} s         in all", total.as_secs_f64());
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.passed { "ok" } else { "FAILED" };
        write!(
            f,
            "{:>7.1} s  {word:<6} {}",
            self.took.as_secs_f64(),
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failed_step_is_counted_and_does_not_end_the_suite() {
        let mut suite = Suite::default();
        suite.step("first", |_| bail!("on purpose"));
        suite.step("second", |tally| {
            tally.count(true);
            Ok(())
        });
        assert_eq!(
            suite.tally,
            Tally {
                passed: 2,
                failed: 1
            }
        );
        assert_eq!(suite.steps.len(), 2);
    }
}
