//! What builds the guard's kernel programs, by Debian's packages where nothing else does.

use std::path::Path;

use anyhow::Result;

use super::{debian, tools};
use crate::ebpf::{Source, Toolchain};
use crate::workspace::Workspace;

/// Installs a toolchain, unless there is one.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let Err(missing) = Toolchain::find(workspace) else {
        return Ok(());
    };
    let debian = Source::Distribution;
    if !Source::allowed().contains(&debian) {
        return Err(missing);
    }
    if debian.llvm().is_err() {
        debian::add(COMPILER, WHY)?;
    }
    let llvm = debian.llvm()?;
    if !Path::new(&format!("/usr/lib/llvm-{llvm}/lib/libLLVM.so")).exists() {
        debian::add(&[&format!("llvm-{llvm}-dev")], WHY)?;
    }
    tools::install_linker(workspace, llvm)?;
    Toolchain::find(workspace)?;
    Ok(())
}

/// Debian's newest compiler, with a `core` for BPF.
const COMPILER: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const WHY: &str = "builds the guard's kernel programs";
