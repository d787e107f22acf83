//! What a machine says of its checks, and what that amounts to.

use std::mem;

use anyhow::{Result, bail};

use crate::suite::Tally;

/// Everything that a machine has said so far, in all its boots.
#[derive(Debug, Default)]
pub(super) struct Report {
    tally: Tally,
    /// Programs that failed, with their statuses.
    failed: Vec<String>,
    /// It wants to boot again.
    again: bool,
    /// Everything was run.
    done: bool,
}

impl Report {
    /// Reads one line: of a test runner, or one of ours.
    ///
    /// `vm: check ok|FAILED NAME`, `vm: exit STATUS NAME`, `vm: again`, `vm: done`.
    pub(super) fn read(&mut self, line: &str) {
        let Some(ours) = line.strip_prefix("vm: ") else {
            self.tally.read(line);
            return;
        };
        match ours.split_once(' ') {
            None if ours == "again" => self.again = true,
            None if ours == "done" => self.done = true,
            Some(("check", rest)) => self.tally.count(rest.starts_with("ok ")),
            Some(("exit", rest)) if !rest.starts_with("0 ") => self.failed.push(rest.to_owned()),
            _ => {}
        }
    }

    /// Whether it has asked for another boot since this was asked last.
    pub(super) fn take_again(&mut self) -> bool {
        mem::take(&mut self.again)
    }

    /// Adds what passed and failed, and judges: everything must have been run and have passed.
    pub(super) fn conclude(self, tally: &mut Tally) -> Result<()> {
        tally.passed += self.tally.passed;
        tally.failed += self.tally.failed;
        if !self.done {
            bail!("the machine ended before its checks did");
        }
        if !self.failed.is_empty() {
            bail!("ended badly: {}", self.failed.join(", "));
        }
        if self.tally.failed > 0 {
            bail!("{} failed", self.tally.failed);
        }
        if self.tally.passed == 0 {
            bail!("nothing was checked");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concluded(lines: &[&str]) -> (Result<()>, Tally) {
        let mut report = Report::default();
        for line in lines {
            report.read(line);
        }
        let mut tally = Tally::default();
        (report.conclude(&mut tally), tally)
    }

    const PASSED: &str = "test result: ok. 2 passed; 0 failed; 0 ignored; finished in 0.10s";

    #[test]
    fn a_machine_that_ran_everything_has_passed() {
        let (result, tally) = concluded(&[PASSED, "vm: exit 0 guard", "vm: done"]);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!((tally.passed, tally.failed), (2, 0));
    }

    #[test]
    fn each_boot_is_asked_for_once() {
        let mut report = Report::default();
        report.read("vm: check ok boot order");
        assert!(!report.take_again());
        report.read("vm: again");
        assert!(report.take_again());
        assert!(!report.take_again());
        report.read("vm: done");
        assert!(report.conclude(&mut Tally::default()).is_ok());
    }

    #[test]
    fn a_machine_has_failed_if_anything_did_or_is_missing() {
        for lines in [
            &[PASSED, "vm: exit 0 guard"][..],
            &[PASSED, "vm: exit 101 guard", "vm: done"],
            &[PASSED, "vm: exit 139 guard", "vm: done"],
            &["vm: check ok one", "vm: check FAILED two", "vm: done"],
            &[
                "test result: FAILED. 3 passed; 1 failed; 0 ignored",
                "vm: done",
            ],
            &["vm: done"],
            &["vm: check ok one", "vm: again"],
            &[],
        ] {
            assert!(concluded(lines).0.is_err(), "{lines:?}");
        }
    }

    #[test]
    fn failures_are_counted_also_in_a_machine_that_died() {
        let (result, tally) = concluded(&["vm: check ok one", "vm: check FAILED two"]);
        assert!(result.is_err());
        assert_eq!((tally.passed, tally.failed), (1, 1));
    }
}
