//! The guard's kernel programs: `cargo xtask build-ebpf`.
//!
//! They are a workspace of their own, with their own compiler. What comes out is one file under
//! the clone, which the build script of `gateway/guard` embeds.

mod toolchain;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

pub(crate) use self::toolchain::{Source, Toolchain};
use crate::command::{cargo, run};
use crate::setup;
use crate::workspace::Workspace;

/// Builds the programs.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let toolchain = Toolchain::find(workspace)?;
    eprintln!("build-ebpf: with {toolchain}");
    run(programs(&toolchain, workspace, "build").args(["--release", "--locked"]))
        .context("the kernel programs were not built")?;
    let built = target_dir(workspace)
        .join(toolchain::TARGET)
        .join("release/guard");
    let object = workspace.ebpf_object();
    publish(&built, &object)?;
    eprintln!("build-ebpf: {}", object.display());
    Ok(())
}

/// Builds the programs if there is, or can be, a toolchain for them; says so in a line if not.
/// What was built before goes then: it may not be what the loader expects.
pub(crate) fn build_if_possible(workspace: &Workspace) -> Result<()> {
    let Err(error) = setup::ebpf(workspace) else {
        return build(workspace);
    };
    let reason = error.to_string();
    eprintln!(
        "xtask: going on without the guard's kernel programs, since they cannot be built here: {}; \
         `cargo xtask setup` says more",
        reason.lines().next().unwrap_or_default()
    );
    let object = workspace.ebpf_object();
    match fs::remove_file(&object) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", object.display()))
        }
        _ => Ok(()),
    }
}

/// Checks their code: the library for the host, and the programs where their toolchain has clippy.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    let deny = ["--", "--deny=warnings"];
    run(library(workspace, "clippy").arg("--all-targets").args(deny))?;
    let toolchain = Toolchain::find(workspace)?;
    if !toolchain.has_clippy() {
        eprintln!("build-ebpf: {toolchain} has no clippy");
        return Ok(());
    }
    run(programs(&toolchain, workspace, "clippy")
        .args(["--release", "--locked"])
        .args(deny))
}

/// The command that tests the library on the host.
pub(crate) fn tests(workspace: &Workspace) -> Command {
    library(workspace, "test")
}

/// What tells cargo that a command is about them.
pub(crate) const MANIFEST: &str = "--manifest-path=gateway-ebpf/Cargo.toml";

/// A task for the programs, by their own toolchain.
fn programs(toolchain: &Toolchain, workspace: &Workspace, task: &str) -> Command {
    let mut cargo = toolchain.cargo(task, &workspace.root.join("gateway-ebpf"));
    cargo
        .args(["--bin=guard", "--features=programs"])
        .arg("--target-dir")
        .arg(target_dir(workspace));
    cargo
}

/// A task for the library, by the workspace's toolchain.
fn library(workspace: &Workspace, task: &str) -> Command {
    let mut cargo = cargo(workspace);
    cargo
        .args([task, "--locked", MANIFEST, "--target-dir"])
        .arg(target_dir(workspace));
    cargo
}

/// Apart from the other builds, and from what is published.
fn target_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bpf-build")
}

/// Puts a file where it is found, whole or not at all. One that is the same keeps its date, so
/// that nothing is built again for it.
fn publish(built: &Path, object: &Path) -> Result<()> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let draft = object.with_extension(format!("draft-{}", std::process::id()));
    let write = || {
        if let Some(directory) = object.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&draft, &bytes)?;
        fs::rename(&draft, object)
    };
    write().with_context(|| format!("cannot write {}", object.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_object_is_written() {
        let directory = std::env::temp_dir().join(format!("xtask-publish-{}", std::process::id()));
        let built = directory.join("guard");
        let object = directory.join("bpf/guard.o");
        let date = || fs::metadata(&object).unwrap().modified().unwrap();
        fs::create_dir_all(&directory).unwrap();

        fs::write(&built, "one").unwrap();
        publish(&built, &object).unwrap();
        let first = date();
        publish(&built, &object).unwrap();
        assert_eq!(date(), first);

        fs::write(&built, "two").unwrap();
        publish(&built, &object).unwrap();
        assert_eq!(fs::read(&object).unwrap(), b"two");
        let files = fs::read_dir(object.parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1, "a draft is left");

        fs::remove_file(&built).unwrap();
        assert!(publish(&built, &object).is_err());
        fs::remove_dir_all(directory).unwrap();
    }
}
