//! Building what the demo runs.

use anyhow::{Context, Result};

use crate::command::{self, cargo};
use crate::ebpf;
use crate::workspace::Workspace;

/// Builds the guard's kernel programs, if that is possible here; then the gateway, the Connect
/// double and the certificate maker in release, in one go, so that they share what they have in
/// common.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    ebpf::build_if_possible(workspace)?;
    command::run(
        cargo(workspace)
            .args(["build", "--release", "--locked"])
            .args([
                "--package=connect-gateway",
                "--package=gateway-tests",
                "--package=xtask",
                "--features=xtask/certs",
                "--bin=connect-gateway",
                "--bin=connect-double",
                "--bin=demo-certs",
            ]),
    )
    .context("the build failed")
}
