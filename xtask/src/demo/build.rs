//! Building what the demo runs.

use anyhow::{Context, Result};

use crate::command::{self, cargo};
use crate::workspace::Workspace;

/// Builds the gateway, the Connect double and the certificate maker in release, in one go, so
/// that they share what they have in common.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
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
