//! Who runs on which core.

use std::process::{Child, Command};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A core for the subject, another for all the rest, this process included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cores {
    subject: usize,
    rest: usize,
}

/// What a subject may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Share {
    /// The generator's core too.
    Both,
    /// Its own core.
    Own,
}

impl Cores {
    /// The first two that this process may use. It moves to the second.
    pub(crate) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot ask which cores there are")?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (Some(subject), Some(rest)) = (allowed.next(), allowed.next()) else {
            bail!("a benchmark needs two cores: one for the proxy, one for everything else");
        };
        enter(&[rest])?;
        Ok(Self { subject, rest })
    }

    /// Starts a subject on its core, or on both, where all its threads and children stay.
    pub(crate) fn spawn_subject(self, command: &mut Command, share: Share) -> Result<Child> {
        match share {
            Share::Both => enter(&[self.subject, self.rest])?,
            Share::Own => enter(&[self.subject])?,
        }
        let child = command.spawn();
        enter(&[self.rest])?;
        let program = command.get_program().display().to_string();
        child.with_context(|| format!("cannot start {program}"))
    }
}

fn enter(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to the cores {cores:?}"))
}
