//! `cargo xtask bench`: what things cost, measured here.

mod baseline;
mod compare;
mod guard;
mod instructions;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

pub(crate) use self::compare::{Options, run};
pub(crate) use self::guard::guard;
pub(crate) use self::instructions::{check as check_instructions, instructions};
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
