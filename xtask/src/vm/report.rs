//! What a machine says of its checks, and what that amounts to.

use anyhow::{Result, bail};

use crate::suite::Tally;

/// Everything that one machine has said so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    tally: Tally,
    /// Programs that failed, with their statuses.
    failed: Vec<String>,
    ended: Option<End>,
}

/// How it said that it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It wants to boot again.
    Again,
    /// Everything was run.
    Done,
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
            None if ours == "again" => self.ended = Some(End::Again),
            None if ours == "done" => self.ended = Some(End::Done),
            Some(("check", rest)) => self.tally.count(rest.starts_with("ok ")),
            Some(("exit", rest)) if !rest.starts_with("0 ") => self.failed.push(rest.to_owned()),
            _ => {}
        }
    }

    /// Adds what passed and failed, and judges: everything must have been run and have passed.
    pub(super) fn conclude(self, tally: &mut Tally) -> Result<End> {
        tally.passed += self.tally.passed;
        tally.failed += self.tally.failed;
        let Some(end) = self.ended else {
            bail!("the machine ended before its checks did");
        };
        if !self.failed.is_empty() {
            bail!("ended badly: {}", self.failed.join(", "));
        }
        if self.tally.failed > 0 {
            bail!("{} failed", self.tally.failed);
        }
        if self.tally.passed == 0 {
            bail!("nothing was checked");
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concluded(lines: &[&str]) -> (Result<End>, Tally) {
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
        let (end, tally) = concluded(&[PASSED, "vm: exit 0 guard", "vm: done"]);
        assert_eq!(end.unwrap(), End::Done);
        assert_eq!((tally.passed, tally.failed), (2, 0));
        let (end, tally) = concluded(&["vm: check ok boot order", "vm: again"]);
        assert_eq!(end.unwrap(), End::Again);
        assert_eq!((tally.passed, tally.failed), (1, 0));
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
            &[],
        ] {
            let (end, _) = concluded(lines);
            assert!(end.is_err(), "{lines:?}");
        }
    }

    #[test]
    fn failures_are_counted_also_in_a_machine_that_died() {
        let (end, tally) = concluded(&["vm: check ok one", "vm: check FAILED two"]);
        assert!(end.is_err());
        assert_eq!((tally.passed, tally.failed), (1, 1));
    }
}
