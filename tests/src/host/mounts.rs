//! A mount namespace for a test, with a file system for BPF's pins in it.

#![allow(
    unsafe_code,
    reason = "unshare is unsafe for flags that are not used here"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::harness::tool;

/// A bpffs that only one thread sees, and whatever it starts.
#[derive(Debug)]
pub struct Bpffs(PathBuf);

impl Bpffs {
    /// Moves this thread into a mount namespace of its own, and mounts a bpffs there on a new
    /// directory below the given one. What is pinned in it ends with it, after a crash as well.
    pub fn private(below: &Path) -> Self {
        // SAFETY: only CLONE_FILES can make descriptors unusable for other threads; this is
        // CLONE_NEWNS alone, which gives this thread a working directory of its own.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("root can make a mount namespace");
        run("mount", &["--make-rprivate", "/"]).expect("mounts can be private");
        let directory = below.join("bpf");
        std::fs::create_dir(&directory).unwrap();
        let path = directory.to_str().unwrap();
        run("mount", &["-t", "bpf", "-o", "mode=0700", "bpf", path]).expect("bpffs is there");
        Self(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Also while something in it is open.
        if let Err(error) = run("umount", &["--lazy", self.0.to_str().unwrap()]) {
            // A panic here would hide the one that the test may have failed with.
            eprintln!("{error}");
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(tool(program));
    command.args(arguments).stdin(Stdio::null());
    let status = command.status().expect("the program starts");
    match status.success() {
        true => Ok(()),
        false => Err(format!("{program} {arguments:?}: {status}")),
    }
}
