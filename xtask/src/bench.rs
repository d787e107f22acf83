//! `cargo xtask bench`: what things cost, measured here.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::command::{self, cargo};
use crate::workspace::Workspace;
use crate::{ebpf, setup};

/// Measures what the guard costs, as root. Fails if an aim was missed.
pub(crate) fn guard(workspace: &Workspace) -> Result<ExitCode> {
    setup::run(workspace, setup::Level::Build)?;
    setup::ebpf(workspace)?;
    ebpf::build(workspace)?;
    command::run(
        cargo(workspace)
            .args(["build", "--release", "--locked"])
            .args(["--package=gateway-bench", "--bin=guard-cost"])
            .env("GATEWAY_REQUIRE_EBPF", "1"),
    )?;
    let mut bench = Command::new(workspace.release("guard-cost"));
    command::echo(&bench);
    let status = bench.status().context("cannot start guard-cost")?;
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(1) => Ok(ExitCode::FAILURE),
        _ => bail!("guard-cost: {status}"),
    }
}
