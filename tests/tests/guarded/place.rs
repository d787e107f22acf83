//! A cgroup for the gateway to run in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gateway_tests::harness::poll;
use rustix::process::geteuid;

/// A cgroup of version 2; removed when dropped, which waits for its processes to end.
pub(crate) struct Place {
    path: String,
    directory: PathBuf,
}

impl Place {
    /// Makes one below the root. None, with a word why, where that cannot be.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !geteuid().is_root() {
            eprintln!("skipped: only root makes cgroups");
            return None;
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            (fields[2] == "cgroup2").then(|| PathBuf::from(fields[1]))
        });
        let Some(root) = root else {
            eprintln!("skipped: no cgroup v2 is mounted");
            return None;
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-test-{}-{count}", std::process::id());
        Some(Self::at(&root, &format!("/{name}")))
    }

    /// One below it.
    pub(crate) fn child(&self, name: &str) -> Self {
        Self::at(&self.directory, &format!("{}/{name}", self.path))
    }

    /// One beside it, with a name that begins alike.
    pub(crate) fn sibling(&self) -> Self {
        let parent = self.directory.parent().unwrap();
        Self::at(parent, &format!("{}-2", self.path))
    }

    /// From the hierarchy's root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Enters it, then becomes the command that follows.
    pub(crate) fn launcher(&self) -> [&str; 4] {
        let directory = self.directory.to_str().unwrap();
        [
            "sh",
            "-c",
            r#"echo 0 > "$0/cgroup.procs" && exec "$@""#,
            directory,
        ]
    }

    fn at(parent: &Path, path: &str) -> Self {
        let (_, name) = path.rsplit_once('/').unwrap();
        let directory = parent.join(name);
        fs::create_dir(&directory).unwrap();
        Self {
            path: path.to_owned(),
            directory,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A process leaves its cgroup a little after it was waited for.
        poll::until("the cgroup is empty", || {
            match fs::remove_dir(&self.directory) {
                Ok(()) => Some(()),
                Err(error) if error.kind() == ErrorKind::ResourceBusy => None,
                Err(error) => panic!("{}: {error}", self.directory.display()),
            }
        });
    }
}
