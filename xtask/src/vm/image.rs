//! A Debian image with systemd: built once, copied for each use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, run_unseen};

/// Copies the image, after building it if the cache has none, to a file that a machine may write
/// to.
pub(super) fn copy(cache: &Path, to: &Path) -> Result<()> {
    let image = get(cache)?;
    run_unseen(
        Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .arg(image)
            .arg(to),
    )
    .context("cannot copy the Debian image")
}

/// Its name has all that it is made of, so that it is built anew when that changes.
fn get(cache: &Path) -> Result<PathBuf> {
    let directory = cache.join("images");
    let image = directory.join(format!("{SUITE}+{}.ext2", PACKAGES.join("+")));
    if image.exists() {
        return Ok(image);
    }
    fs::create_dir_all(&directory).context("cannot make the cache")?;
    eprintln!("vm: building a Debian image, once");
    let unfinished = directory.join("unfinished.ext2");
    run(Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", "--format=ext2"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(SUITE)
        .arg(&unfinished))
    .context("cannot build a Debian image")?;
    File::options()
        .write(true)
        .open(&unfinished)
        .and_then(|file| file.set_len(BYTES))
        .context("cannot grow the Debian image")?;
    // resize2fs wants a file system that was checked.
    run_unseen(Command::new("e2fsck").args(["-f", "-p"]).arg(&unfinished))?;
    run_unseen(Command::new("resize2fs").arg(&unfinished))?;
    fs::rename(&unfinished, &image).context("cannot keep the Debian image")?;
    Ok(image)
}

const SUITE: &str = "bookworm";
const PACKAGES: &[&str] = &["curl", "iproute2", "kmod", "openssl", "systemd-sysv"];
/// Sparse: nearly all of it is a hole.
const BYTES: u64 = 2 << 30;
