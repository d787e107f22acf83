//! `cargo xtask setup`: installs what is missing, and says what and why before it does.
//!
//! Running it again changes nothing. Debian packages go to the system, Python packages into
//! `target/py`, cargo tools to a cache outside of the clone.

mod debian;
mod ebpf;
mod python;
mod tools;

pub(crate) use python::interpreter;

use anyhow::Result;
use clap::ValueEnum;

use crate::workspace::Workspace;

/// How much is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What building needs.
    Build,
    /// Also what the tests need.
    Test,
}

/// Who is measured beside the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
}

/// Installs what is missing for a level.
pub(crate) fn run(workspace: &Workspace, level: Level) -> Result<()> {
    debian::install(level)?;
    if level == Level::Test {
        python::install(workspace)?;
        tools::install(workspace)?;
        instructions(workspace)?;
    }
    Ok(())
}

/// Installs what is missing to build the guard's kernel programs. Apart from the levels, because a
/// demo can do without.
pub(crate) fn ebpf(workspace: &Workspace) -> Result<()> {
    ebpf::install(workspace)
}

/// Installs what is missing to measure the gateway beside these. Debian's packages of servers also
/// start them, where systemd runs.
pub(crate) fn bench(peers: &[Peer]) -> Result<()> {
    debian::install_for_bench(peers)
}

/// Installs what is missing to count instructions.
pub(crate) fn instructions(workspace: &Workspace) -> Result<()> {
    debian::install_for_instructions()?;
    tools::install_counter(workspace)
}

/// Installs Debian packages that one task needs, and says why.
pub(crate) fn packages(packages: &[&str], why: &str) -> Result<()> {
    debian::add(packages, why)
}
