//! What builds the guard's kernel programs, by Debian's packages where nothing else does.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{debian, tools};
use crate::ebpf::{Source, Toolchain};
use crate::workspace::Workspace;

/// Installs a toolchain, unless there is one.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let Err(missing) = Toolchain::find(workspace) else {
        return Ok(());
    };
    if !Source::allowed().contains(&DEBIAN) {
        return Err(missing);
    }
    install_debians(workspace).with_context(|| format!("{missing}\nThe second failed"))?;
    Toolchain::find(workspace)?;
    Ok(())
}

fn install_debians(workspace: &Workspace) -> Result<()> {
    if DEBIAN.llvm().is_err() {
        debian::add(COMPILER, WHY)?;
    }
    let llvm = DEBIAN.llvm()?;
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    if !prefix.join("lib/libLLVM.so").exists() {
        debian::add(&[&format!("llvm-{llvm}-dev")], WHY)?;
    }
    tools::install_linker(workspace, llvm, &prefix)
}

const DEBIAN: Source = Source::Distribution;
/// Debian's newest compiler, with a `core` for BPF.
const COMPILER: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const WHY: &str = "builds the guard's kernel programs";
