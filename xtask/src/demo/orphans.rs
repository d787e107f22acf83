//! What a demo command leaves running. Nothing may outlive the demo.

use std::fs;
use std::process;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, WaitOptions, getpid, set_child_subreaper, waitpid};

use super::process::signal;

/// From now on descendants whose parent has ended become children of this process.
pub(super) fn adopt() -> Result<()> {
    set_child_subreaper(Some(getpid())).context("cannot adopt what the command leaves running")
}

/// Ends all children but those in `kept`: asked first, killed after a while. Their own children
/// are adopted and ended in turn.
pub(super) fn end(kept: &[u32]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let orphans: Vec<u32> = children()?
            .into_iter()
            .filter(|pid| !kept.contains(pid))
            .collect();
        if orphans.is_empty() {
            return Ok(());
        }
        let how = if begun.elapsed() < PATIENCE {
            Signal::TERM
        } else {
            Signal::KILL
        };
        for pid in orphans {
            signal(pid, how)?;
            reap(pid)?;
        }
        sleep(super::POLL);
    }
}

/// The children of this process, those included that have ended and were not waited for.
fn children() -> Result<Vec<u32>> {
    let own = process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let entry = entry.context("cannot list /proc")?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process that has gone meanwhile is no child.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        if parent(&stat) == Some(&own) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// The parent in a line of `/proc/PID/stat`: `pid (name) state parent …`; the name may hold
/// blanks and parentheses.
fn parent(stat: &str) -> Option<&str> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)
}

fn reap(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    waitpid(pid, WaitOptions::NOHANG).context("cannot wait for what the command left running")?;
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) S 7 12 12 0"), Some("7"));
        assert_eq!(parent("12 (odd) R 1 (x) S 7 12"), Some("7"));
        assert_eq!(parent("12"), None);
    }

    #[test]
    fn own_children_are_seen() {
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let seen = children().unwrap().contains(&child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen);
        assert!(!children().unwrap().contains(&child.id()));
    }
}
