//! Counting a subject's system calls, by perf and the kernel's tracepoint.
//!
//! Not by strace: it stops the subject at each, more requests are waiting when that goes on, and
//! there are fewer calls for each than without it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::account;
use crate::subject::installed;

/// A count, from the start of a command to its end.
#[derive(Clone, Debug)]
pub(crate) struct Syscalls {
    perf: PathBuf,
    processes: String,
    output: PathBuf,
}

impl Syscalls {
    /// Of a process, its children and theirs.
    pub(crate) fn of(process: u32, output: PathBuf) -> Result<Self> {
        let processes: Vec<String> = account::family(process)?
            .iter()
            .map(u32::to_string)
            .collect();
        Ok(Self {
            perf: installed("perf", "linux-perf")?,
            processes: processes.join(","),
            output,
        })
    }

    /// Whether the kernel lets us count.
    pub(crate) fn is_possible() -> Result<()> {
        let output = Command::new(installed("perf", "linux-perf")?)
            .args(["stat", "--event", EVENT, "--field-separator=,", "true"])
            .output()
            .context("cannot start perf")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        parse(&said).map(drop)
    }

    /// A command that counts until the program ends.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.perf);
        command
            .args(["stat", "--event", EVENT, "--field-separator=,", "--pid"])
            .arg(&self.processes)
            .arg("--output")
            .arg(&self.output)
            .arg("--")
            .arg(program);
        command
    }

    /// How many there were, once the command has ended.
    pub(crate) fn count(&self) -> Result<u64> {
        let text = std::fs::read_to_string(&self.output);
        parse(&text.with_context(|| format!("cannot read {}", self.output.display()))?)
    }
}

fn parse(text: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.contains(EVENT));
    let count = line.and_then(|line| line.split(',').next()?.parse().ok());
    match count {
        Some(count) => Ok(count),
        None => bail!("perf counted nothing: {}", text.trim()),
    }
}

const EVENT: &str = "raw_syscalls:sys_enter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_the_first_field() {
        let text = "# started on\n\n4711,,raw_syscalls:sys_enter,806069,100.00,,\n";
        assert_eq!(parse(text).unwrap(), 4711);
        assert!(parse("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n").is_err());
        assert!(parse("").is_err());
    }
}
