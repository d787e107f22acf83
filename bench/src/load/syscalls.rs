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

/// How often the kernel was called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Calls {
    pub(crate) all: u64,
    /// Of them those that receive messages, which is what datagrams are.
    pub(crate) receives: u64,
    /// Those that send messages.
    pub(crate) sends: u64,
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
            .args(["stat", "--event", &events(), "--field-separator=,", "true"])
            .output()
            .context("cannot start perf")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        parse(&said).map(drop)
    }

    /// A command that counts until the program ends.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.perf);
        command
            .args(["stat", "--event", &events(), "--field-separator=,", "--pid"])
            .arg(&self.processes)
            .arg("--output")
            .arg(&self.output)
            .arg("--")
            .arg(program);
        command
    }

    /// How many there were, once the command has ended.
    pub(crate) fn count(&self) -> Result<Calls> {
        let text = std::fs::read_to_string(&self.output);
        parse(&text.with_context(|| format!("cannot read {}", self.output.display()))?)
    }
}

fn events() -> String {
    let all = [&[ALL][..], &RECEIVES, &SENDS].concat();
    all.join(",")
}

fn parse(text: &str) -> Result<Calls> {
    let of = |event: &str| {
        let mut lines = text.lines().map(|line| line.split(','));
        // The count, its unit, and the event.
        let count = lines.find_map(|mut fields| {
            let count = fields.next()?;
            (fields.nth(1) == Some(event)).then_some(count)
        });
        match count.and_then(|count| count.parse::<u64>().ok()) {
            Some(count) => Ok(count),
            None => bail!("perf counted no {event}: {}", text.trim()),
        }
    };
    let sum = |events: [&str; 2]| events.into_iter().map(of).sum::<Result<u64>>();
    Ok(Calls {
        all: of(ALL)?,
        receives: sum(RECEIVES)?,
        sends: sum(SENDS)?,
    })
}

const ALL: &str = "raw_syscalls:sys_enter";
/// By which datagrams are received. TCP is read by others, in every subject of ours.
const RECEIVES: [&str; 2] = ["syscalls:sys_enter_recvmmsg", "syscalls:sys_enter_recvmsg"];
/// By which they are sent, likewise.
const SENDS: [&str; 2] = ["syscalls:sys_enter_sendmmsg", "syscalls:sys_enter_sendmsg"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_the_first_field() {
        let text = "# started on\n\n4711,,raw_syscalls:sys_enter,806069,100.00,,\n\
                    40,,syscalls:sys_enter_recvmmsg,806069,100.00,,\n\
                    2,,syscalls:sys_enter_recvmsg,806069,100.00,,\n\
                    1,,syscalls:sys_enter_sendmmsg,806069,100.00,,\n\
                    700,,syscalls:sys_enter_sendmsg,806069,100.00,,\n";
        let calls = Calls {
            all: 4711,
            receives: 42,
            sends: 701,
        };
        assert_eq!(parse(text).unwrap(), calls);
        assert!(parse(&text.replace("4711", "<not counted>")).is_err());
        assert!(parse(&text.replace("sendmsg", "writev")).is_err());
        assert!(parse("").is_err());
    }
}
