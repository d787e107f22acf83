//! What a process and its children have used, by the kernel's own accounting.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::Errno;

/// What was used so far.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of each thread, in nanoseconds.
    threads: BTreeMap<u32, u64>,
    /// CPU time outside the kernel, in ticks.
    user: u64,
    /// CPU time in the kernel, in ticks.
    system: u64,
    /// How often a thread was put aside or waited.
    switches: u64,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    /// CPU time. To the nanosecond, but without threads that have ended.
    pub(crate) cpu: Duration,
    /// Which share of it was outside the kernel, to a tick (10 ms).
    pub(crate) user: f64,
    /// Context switches.
    pub(crate) switches: u64,
}

impl Usage {
    /// Of a process, its children and theirs. One that ends meanwhile is left out.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let mut usage = Self::default();
        for process in family(process)? {
            let directory = Path::new("/proc").join(process.to_string());
            let Some(stat) = read_if_there(&directory.join("stat"))? else {
                continue;
            };
            let (user, system) = ticks(&stat).context("an odd /proc/PID/stat")?;
            usage.user += user;
            usage.system += system;
            usage.add_threads(&directory.join("task"))?;
        }
        Ok(usage)
    }

    /// What was used since.
    pub(crate) fn since(&self, before: &Self) -> Used {
        let threads = self.threads.iter().map(|(thread, &now)| {
            let earlier = before.threads.get(thread).copied().unwrap_or_default();
            now.saturating_sub(earlier)
        });
        let user = self.user.saturating_sub(before.user);
        let system = self.system.saturating_sub(before.system);
        Used {
            cpu: Duration::from_nanos(threads.sum()),
            user: match user + system {
                0 => 0.0,
                all => user as f64 / all as f64,
            },
            switches: self.switches.saturating_sub(before.switches),
        }
    }

    fn add_threads(&mut self, tasks: &Path) -> Result<()> {
        for task in list(tasks)? {
            let (Some(schedstat), Some(status)) = (
                read_if_there(&tasks.join(task.to_string()).join("schedstat"))?,
                read_if_there(&tasks.join(task.to_string()).join("status"))?,
            ) else {
                // The thread has ended meanwhile.
                continue;
            };
            let time = schedstat
                .split(' ')
                .next()
                .and_then(|time| time.parse().ok());
            self.threads
                .insert(task, time.context("an odd /proc/PID/task/TID/schedstat")?);
            self.switches += ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"]
                .iter()
                .filter_map(|name| field(&status, name))
                .sum::<u64>();
        }
        Ok(())
    }
}

/// What a process, its children and theirs have in memory, in bytes. Pages that several share
/// count once, divided among them (`Pss`).
pub(crate) fn memory(process: u32) -> Result<u64> {
    let mut bytes = 0;
    for process in family(process)? {
        let path = PathBuf::from(format!("/proc/{process}/smaps_rollup"));
        let rollup = read_if_there(&path)?;
        // One that has ended, and was not yet waited for, has none.
        bytes += 1024
            * rollup
                .and_then(|rollup| field(&rollup, "Pss"))
                .unwrap_or_default();
    }
    Ok(bytes)
}

/// A process, its children and theirs.
pub(crate) fn family(process: u32) -> Result<Vec<u32>> {
    let mut family = vec![process];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        at += 1;
        let tasks = PathBuf::from(format!("/proc/{parent}/task"));
        for task in list(&tasks)? {
            let children = read_if_there(&tasks.join(task.to_string()).join("children"))?;
            let children = children.unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    Ok(family)
}

/// User and system time in `/proc/PID/stat` (proc_pid_stat(5), fields 14 and 15). The name before
/// them may hold blanks and parentheses.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A number behind its name in `/proc/PID/status` and the like.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

/// The numbers in a directory of `/proc`; none if its process has ended.
fn list(directory: &Path) -> Result<Vec<u32>> {
    let cannot = || format!("cannot list {}", directory.display());
    let mut found = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if has_ended(&error) => return Ok(found),
        entries => entries.with_context(cannot)?,
    };
    for entry in entries {
        let name = entry.with_context(cannot)?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(found)
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if has_ended(&error) => Ok(None),
        read => read
            .map(Some)
            .with_context(|| format!("cannot read {}", path.display())),
    }
}

/// ESRCH says that it ended between opening and reading.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let stat = "7 (a) (b) S 1 7 7 0 -1 4194304 100 0 0 0 21 43 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some((21, 43)));
        assert_eq!(ticks("7 (a"), None);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(field(status, "voluntary_ctxt_switches"), Some(12));
        assert_eq!(field(status, "nonvoluntary_ctxt_switches"), Some(3));
        assert_eq!(field(status, "Pss"), None);
    }

    #[test]
    fn own_work_is_seen() {
        let before = Usage::of(id()).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let used = Usage::of(id()).unwrap().since(&before);
        // Others may have had the core for most of it, but not for all.
        assert!(used.cpu > Duration::from_micros(100), "{used:?}");
        assert!(memory(id()).unwrap() > 100_000);
    }

    #[test]
    fn a_thread_that_is_new_counts_whole_and_one_that_ended_not() {
        let usage = |threads: &[(u32, u64)]| Usage {
            threads: threads.iter().copied().collect(),
            user: 30,
            system: 10,
            switches: 4,
        };
        let used = usage(&[(1, 500), (3, 70)]).since(&Usage {
            user: 0,
            system: 0,
            switches: 1,
            ..usage(&[(1, 400), (2, 9000)])
        });
        assert_eq!(used.cpu, Duration::from_nanos(170));
        assert_eq!((used.user, used.switches), (0.75, 3));
    }

    #[test]
    fn children_belong_to_the_family() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&child.id()) && family.contains(&id()));
    }
}
