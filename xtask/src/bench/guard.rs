//! What the guard costs.

use std::process::{Command, ExitCode};

use anyhow::Result;

use super::status;
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
    status(&mut bench, "guard-cost")
}
