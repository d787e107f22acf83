//! Who a process is: its cgroup and its user, taken before it does anything else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

#[derive(Args)]
pub(super) struct Who {
    /// The directory of the cgroup to enter
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,
    /// The user to become, and the group of the same number
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
}

impl Who {
    /// The cgroup first: another user could not enter it. There is only one thread yet.
    pub(super) fn become_it(&self) -> Result<()> {
        if let Some(cgroup) = &self.cgroup {
            enter(cgroup)?;
        }
        if let Some(uid) = self.uid {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
            set_thread_groups(&[]).context("cannot leave the groups")?;
            set_thread_res_gid(gid, gid, gid).context("cannot change the group")?;
            set_thread_res_uid(uid, uid, uid).context("cannot change the user")?;
        }
        Ok(())
    }
}

/// Moves this process into a cgroup.
pub(super) fn enter(cgroup: &Path) -> Result<()> {
    let procs = cgroup.join("cgroup.procs");
    std::fs::write(&procs, "0").with_context(|| procs.display().to_string())
}
