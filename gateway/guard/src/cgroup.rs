//! Cgroups of version 2: where they are mounted, which id a path has, whose they are.

use std::io;
use std::path::PathBuf;

use gateway_ebpf::abi::Ancestor;

/// Where cgroup v2 is mounted.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// The mount point.
    pub root: PathBuf,
}

/// A cgroup that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// From the hierarchy's root; "/" is the root.
    pub path: String,
    /// As the kernel's helpers give it: the directory's inode number.
    pub id: u64,
}

impl Hierarchy {
    /// Finds the mount in `/proc/self/mountinfo`; `None` if there is none.
    pub fn find() -> io::Result<Option<Self>> {
        todo!()
    }

    /// A path's cgroup as the programs match it; `None` while it does not exist.
    pub fn ancestor(&self, path: &str) -> io::Result<Option<Ancestor>> {
        let _ = path;
        todo!()
    }

    /// The cgroup of a process.
    pub fn of_process(&self, pid: u32) -> io::Result<Cgroup> {
        let _ = pid;
        todo!()
    }

    /// The path of an id, by walking the tree; `None` if no cgroup has it now.
    pub fn path_of(&self, id: u64) -> io::Result<Option<String>> {
        let _ = id;
        todo!()
    }

    /// The ids of a cgroup and of everything below it; empty if it does not exist.
    pub fn subtree(&self, path: &str) -> io::Result<Vec<u64>> {
        let _ = path;
        todo!()
    }
}

impl Cgroup {
    /// Whether it is the cgroup at `path` or lies below it.
    pub fn is_in(&self, path: &str) -> bool {
        let _ = path;
        todo!()
    }
}
