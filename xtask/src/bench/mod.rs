//! `cargo xtask bench`: what things cost, measured here.

mod compare;
mod guard;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

pub(crate) use self::compare::{Options, run};
pub(crate) use self::guard::guard;
use crate::command;

/// Runs a program that says by its status whether it succeeded.
fn status(bench: &mut Command, name: &str) -> Result<ExitCode> {
    command::echo(bench);
    let status = bench
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(1) => Ok(ExitCode::FAILURE),
        _ => bail!("{name}: {status}"),
    }
}
