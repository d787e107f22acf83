//! `cargo xtask soak`: mixed load with random faults, for as long as one likes.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{self, cargo};
use crate::workspace::Workspace;

/// Builds the gateway and its soak in release, and runs it for so long. Fails if an error is
/// unexplained, or if memory or descriptors have grown.
pub(crate) fn run(workspace: &Workspace, time: Duration, seed: Option<u64>) -> Result<ExitCode> {
    for (package, bin) in [
        ("connect-gateway", "connect-gateway"),
        ("gateway-tests", "soak"),
    ] {
        command::run(
            cargo(workspace)
                .args(["build", "--release", "--locked", "--package", package])
                .args(["--bin", bin]),
        )?;
    }
    let mut soak = Command::new(workspace.release("soak"));
    soak.arg(format!("--seconds={}", time.as_secs()))
        .args(seed.map(|seed| format!("--seed={seed}")))
        .env("GATEWAY_TEST_BIN", workspace.release("connect-gateway"));
    command::echo(&soak);
    let status = soak.status().context("cannot start the soak")?;
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(1) => Ok(ExitCode::FAILURE),
        _ => bail!("soak: {status}"),
    }
}

/// As [`run`], as a step of `cargo xtask prove`.
pub(crate) fn smoke(workspace: &Workspace) -> Result<()> {
    match run(workspace, SMOKE, None)? == ExitCode::SUCCESS {
        true => Ok(()),
        false => bail!("the soak failed"),
    }
}

const SMOKE: Duration = Duration::from_secs(30);
