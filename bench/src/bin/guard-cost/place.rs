//! Where it happens: a network namespace and cgroups of its own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use guard::Hierarchy;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

/// Starts this program again in a new network namespace, which ends with it, and tells it from
/// which it comes; returns only if that fails. It goes before all ordinary processes from then on:
/// what others do in between costs caches, and would be measured with the guard.
pub(crate) fn enter_namespace() -> anyhow::Error {
    let start = || -> Result<_> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        let outside = namespace()?;
        Ok(Command::new("unshare")
            .args(["--net", "--", "chrt", "--fifo", PRIORITY])
            .arg(program)
            .arg(outside)
            .exec())
    };
    match start() {
        Ok(error) => {
            anyhow::Error::from(error).context("cannot start unshare (Debian package util-linux)")
        }
        Err(error) => error,
    }
}

/// Stays on the CPU on which it runs.
pub(crate) fn pin() -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(sched_getcpu());
    sched_setaffinity(None, &cpus).context("cannot stay on one CPU")
}

/// Brings loopback up, in a namespace that has nothing else. `outside` is the one in which nothing
/// may happen.
pub(crate) fn prepare_namespace(outside: &OsStr) -> Result<()> {
    if namespace()? == outside {
        bail!("unshare has made no network namespace");
    }
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .context("cannot start ip (Debian package iproute2)")?;
    if !status.success() {
        bail!("ip link set lo up: {status}");
    }
    Ok(())
}

/// The cgroups. Dropped, they are removed, and this process is where it was.
pub(crate) struct Cgroups {
    hierarchy: Hierarchy,
    directory: PathBuf,
    name: String,
    /// Where this process was.
    home: PathBuf,
}

/// Whose sockets are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Those of the protected service.
    Backend,
    /// Those of the gateway.
    Gateway,
    /// Anybody's.
    Outsider,
}

impl Cgroups {
    /// Makes them, and removes those of a run that was killed.
    pub(crate) fn make() -> Result<Self> {
        let hierarchy = Hierarchy::find().context("cannot look for cgroup v2")?;
        let hierarchy = hierarchy.context("no cgroup v2 is mounted")?;
        let root = &hierarchy.root;
        for entry in fs::read_dir(root).context("cannot list the cgroups")? {
            let name = entry.context("cannot list the cgroups")?.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                remove(&root.join(name))?;
            }
        }
        let name = format!("{PREFIX}{}", process::id());
        let own = hierarchy.of_process(process::id());
        let home = own.context("cannot tell this process's cgroup")?.path;
        let cgroups = Self {
            directory: root.join(&name),
            home: root.join(home.trim_start_matches('/')),
            name,
            hierarchy,
        };
        for directory in [
            &cgroups.directory,
            &cgroups.directory.join("backend"),
            &cgroups.directory.join("gateway"),
        ] {
            fs::create_dir(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        Ok(cgroups)
    }

    /// A role's path from the hierarchy's root; an outsider has none.
    pub(crate) fn path(&self, role: Role) -> Option<String> {
        Some(format!("/{}/{}", self.name, role.cgroup()?))
    }

    /// The gateway's as nft wants it: relative to where it looks for cgroups, with its depth.
    pub(crate) fn for_nft(&self) -> Result<(String, usize)> {
        let mount = self.hierarchy.root.strip_prefix("/sys/fs/cgroup");
        let mount = mount.context("nft looks for cgroups under /sys/fs/cgroup alone")?;
        let path = mount.join(&self.name).join("gateway");
        Ok((path.display().to_string(), 2))
    }

    /// Makes sockets in a role: a socket keeps the cgroup in which it was made, and an accepted one
    /// has its listener's.
    pub(crate) fn play<T>(&self, role: Role, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.enter(role)?;
        let result = work();
        self.enter(Role::Outsider)?;
        result
    }

    fn enter(&self, role: Role) -> Result<()> {
        let directory = match role.cgroup() {
            Some(name) => self.directory.join(name),
            None => self.home.clone(),
        };
        // 0 is whoever writes it.
        fs::write(directory.join("cgroup.procs"), "0")
            .with_context(|| format!("cannot enter {}", directory.display()))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let left = self
            .enter(Role::Outsider)
            .and_then(|()| remove(&self.directory));
        if let Err(error) = left {
            eprintln!("guard-cost: {error:#}");
        }
    }
}

impl Role {
    const fn cgroup(self) -> Option<&'static str> {
        match self {
            Self::Backend => Some("backend"),
            Self::Gateway => Some("gateway"),
            Self::Outsider => None,
        }
    }
}

/// This process's, by the name that the kernel gives it.
fn namespace() -> Result<OsString> {
    let link = fs::read_link("/proc/self/ns/net").context("cannot tell the network namespace")?;
    Ok(link.into_os_string())
}

fn remove(directory: &Path) -> Result<()> {
    let below = ["backend", "gateway"].map(|name| directory.join(name));
    for directory in below.iter().map(PathBuf::as_path).chain([directory]) {
        let begun = Instant::now();
        loop {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error)
                    if error.kind() == ErrorKind::ResourceBusy && begun.elapsed() < PATIENCE =>
                {
                    sleep(Duration::from_millis(20));
                }
                result => {
                    break result
                        .with_context(|| format!("cannot remove {}", directory.display()))?;
                }
            }
        }
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(2);
/// The least that goes before ordinary processes.
const PRIORITY: &str = "1";
/// A process id follows.
const PREFIX: &str = "connect-gateway-bench-";
