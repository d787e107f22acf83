//! A mount namespace for a test, with a file system for BPF's pins in it.

#![allow(
    unsafe_code,
    reason = "unshare is unsafe for flags that are not used here"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::harness::tool;

/// Makes a directory below the given one and mounts a bpffs there that only the calling thread
/// sees, and whatever it starts from here on. It ends with the last of them, and what is pinned
/// in it ends too, after a crash as well.
pub fn private_bpffs(below: &Path) -> PathBuf {
    // SAFETY: only CLONE_FILES can make descriptors unusable for other threads; this is
    // CLONE_NEWNS alone, which gives this thread a working directory of its own.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("root can make a mount namespace");
    mount(&["--make-rprivate", "/"]);
    let directory = below.join("bpf");
    std::fs::create_dir(&directory).unwrap();
    let path = directory.to_str().unwrap();
    mount(&["-t", "bpf", "-o", "mode=0700", "bpf", path]);
    directory
}

fn mount(arguments: &[&str]) {
    let mut command = Command::new(tool("mount"));
    command.args(arguments).stdin(Stdio::null());
    let status = command.status().expect("mount starts");
    assert!(status.success(), "mount {arguments:?}: {status}");
}
