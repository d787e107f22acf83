//! A cgroup for each part of the demo: by them the guard tells the gateway from everybody else.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{PATIENCE, POLL};

/// The demo's own cgroup with one below it for each part. Dropped, they are removed.
pub(super) struct Cgroups {
    directory: PathBuf,
    name: String,
}

/// A part of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// The double.
    BackEnd,
    /// The gateway.
    Gateway,
    /// The guard.
    Guard,
}

impl Cgroups {
    /// Makes them at the root of cgroup v2, and removes those of demos that were killed. Needs root.
    pub(super) fn make() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
        let root = mount_point(&mounts).context("no cgroup v2 is mounted")?;
        sweep(&root)?;
        let name = format!("{PREFIX}{}", process::id());
        let cgroups = Self {
            directory: root.join(&name),
            name,
        };
        make(&cgroups.directory)?;
        for member in Member::ALL {
            make(&cgroups.member(member))?;
        }
        Ok(cgroups)
    }

    /// The directory of all.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of one, which a process enters.
    pub(super) fn member(&self, member: Member) -> PathBuf {
        self.directory.join(member.as_str())
    }

    /// The path of one as the guard's configuration names it: from the hierarchy's root.
    pub(super) fn path(&self, member: Member) -> String {
        format!("/{}/{}", self.name, member.as_str())
    }

    /// Removes them; every process in them has ended, or is about to.
    pub(super) fn remove(self) -> Result<()> {
        remove(&self.directory)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.directory) {
            eprintln!("demo: {error:#}");
        }
    }
}

impl Member {
    const ALL: [Self; 3] = [Self::BackEnd, Self::Gateway, Self::Guard];

    const fn as_str(self) -> &'static str {
        match self {
            Self::BackEnd => "backend",
            Self::Gateway => "gateway",
            Self::Guard => "guard",
        }
    }
}

/// The first mount point of cgroup v2 in `/proc/self/mounts` (proc_pid_mounts(5)).
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next()? == "cgroup2").then(|| point.into())
    })
}

/// Removes the cgroups of demos that have gone without doing so. Their processes end with them, so
/// this also waits for the ports and the guard of a demo that was killed just now.
fn sweep(root: &Path) -> Result<()> {
    let reading = || format!("cannot list {}", root.display());
    for entry in fs::read_dir(root).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        // Somebody else may be in it: no reason not to begin.
        if let Err(error) = remove(&entry.path()) {
            eprintln!("demo: left by an earlier demo: {error:#}");
        }
    }
    Ok(())
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir(directory).with_context(|| format!("cannot make {}", directory.display()))
}

fn remove(directory: &Path) -> Result<()> {
    let members = Member::ALL.map(|member| directory.join(member.as_str()));
    for directory in members.iter().map(PathBuf::as_path).chain([directory]) {
        remove_one(directory)
            .with_context(|| format!("cannot remove the cgroup {}", directory.display()))?;
    }
    Ok(())
}

/// A cgroup is busy until the last process in it has ended.
fn remove_one(directory: &Path) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && begun.elapsed() < PATIENCE => {
                sleep(POLL);
            }
            result => return result,
        }
    }
}

/// A process id follows.
const PREFIX: &str = "connect-gateway-demo-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_found_among_the_mounts() {
        let hybrid = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            mount_point(hybrid),
            Some(PathBuf::from("/sys/fs/cgroup/unified"))
        );
        assert_eq!(mount_point("cgroup2 /sys/fs/cgroup cgroup rw 0 0\n"), None);
        assert_eq!(mount_point(""), None);
    }
}
