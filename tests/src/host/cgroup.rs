//! Cgroups of version 2.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::poll;

/// A test's own part of the tree: made empty, swept when dropped, with every process in it.
#[derive(Debug)]
pub struct Cgroups {
    mount: PathBuf,
    name: String,
}

/// One cgroup.
#[derive(Clone, Debug)]
pub struct Cgroup {
    /// From the root of cgroup v2, as configurations name it.
    pub path: String,
    /// Its directory.
    pub dir: PathBuf,
}

impl Cgroups {
    /// A new part; none where cgroup v2 is not mounted.
    pub fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let mount = mount()?;
        SWEEP.call_once(|| sweep_orphans(&mount));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        fs::create_dir(mount.join(&name)).expect("root can make a cgroup");
        Some(Self { mount, name })
    }

    /// Makes a cgroup in it; the one above must be there.
    pub fn make(&self, name: &str) -> Cgroup {
        let path = format!("/{}/{name}", self.name);
        let dir = self.mount.join(&path[1..]);
        fs::create_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        Cgroup { path, dir }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let top = self.mount.join(&self.name);
        if let Err(error) = sweep(&top) {
            // A panic here would hide the one that the test may have failed with.
            eprintln!("{} is left behind: {error}", top.display());
        }
    }
}

impl Cgroup {
    /// Its id, as the kernel's programs give it: its directory's inode number.
    pub fn id(&self) -> u64 {
        fs::metadata(&self.dir).unwrap().ino()
    }

    /// Ends every process in it and below.
    pub fn kill(&self) {
        fs::write(self.dir.join("cgroup.kill"), "1").unwrap();
        let empty = || {
            let events = fs::read_to_string(self.dir.join("cgroup.events")).unwrap();
            events.contains("populated 0").then_some(())
        };
        poll::until("the cgroup is empty", empty);
    }

    /// Ends every process in it and removes it, with what is below.
    pub fn remove(&self) {
        sweep(&self.dir).unwrap_or_else(|error| panic!("{}: {error}", self.dir.display()));
    }
}

/// Where cgroup v2 is mounted (proc_pid_mountinfo(5)).
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        filesystem
            .starts_with("cgroup2 ")
            .then(|| PathBuf::from(mount.split(' ').nth(4).unwrap()))
    })
}

/// Removes what tests left behind that were killed.
fn sweep_orphans(mount: &Path) {
    for entry in fs::read_dir(mount).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        let Some(pid) = pid else { continue };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        match sweep(&path) {
            // Another test process may do the same at this moment.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("{} is left behind: {error}", path.display());
            }
            _ => {}
        }
    }
}

/// Killed processes leave a cgroup a moment later: EBUSY until then.
fn sweep(top: &Path) -> io::Result<()> {
    fs::write(top.join("cgroup.kill"), "1")?;
    let started = std::time::Instant::now();
    loop {
        match remove(top) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy
                    && started.elapsed() < poll::patience() =>
            {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

fn remove(top: &Path) -> io::Result<()> {
    for entry in fs::read_dir(top)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(top)
}

/// A test's process follows, then a number.
const PREFIX: &str = "guard-test-";
