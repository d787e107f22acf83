//! A cgroup for the gateway to run in.

use gateway_tests::host::{Cgroup, Cgroups};
use rustix::process::geteuid;

/// A cgroup, and others beside and below it; swept when dropped.
pub(crate) struct Place {
    cgroups: Cgroups,
    cgroup: Cgroup,
}

impl Place {
    /// Makes one. None, with a word why, where that cannot be.
    pub(crate) fn new() -> Option<Self> {
        if !geteuid().is_root() {
            eprintln!("skipped: only root makes cgroups");
            return None;
        }
        let Some(cgroups) = Cgroups::new() else {
            eprintln!("skipped: no cgroup v2 is mounted");
            return None;
        };
        let cgroup = cgroups.make(NAME);
        Some(Self { cgroups, cgroup })
    }

    /// Makes one below it.
    pub(crate) fn child(&self, name: &str) -> Cgroup {
        self.cgroups.make(&format!("{NAME}/{name}"))
    }

    /// Makes one beside it, with a name that begins alike.
    pub(crate) fn sibling(&self) -> Cgroup {
        self.cgroups.make(&format!("{NAME}-2"))
    }

    /// From the hierarchy's root.
    pub(crate) fn path(&self) -> &str {
        &self.cgroup.path
    }

    /// Enters it, then becomes the command that follows.
    pub(crate) fn launcher(&self) -> [&str; 4] {
        launcher(&self.cgroup)
    }
}

/// Enters a cgroup, then becomes the command that follows.
pub(crate) fn launcher(cgroup: &Cgroup) -> [&str; 4] {
    let directory = cgroup.dir.to_str().unwrap();
    [
        "sh",
        "-c",
        r#"echo 0 > "$0/cgroup.procs" && exec "$@""#,
        directory,
    ]
}

const NAME: &str = "gateway";
