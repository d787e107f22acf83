//! `cargo xtask vm`: the guard on other kernels, and under systemd, in virtual machines.
//!
//! Nothing of the host is touched: the machines have no network card, their disk is a file, and
//! they end with xtask. Kernels and the Debian image are kept in a cache outside of the clone.

mod guest;
mod host;
mod image;
mod kernel;
mod kernel_tests;
mod machine;
mod payload;
mod report;
mod systemd;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::suite::Suite;
use crate::vm::kernel::Kernel;
pub(crate) use crate::vm::kernel::Kernels;
use crate::vm::kernel::Series;
use crate::vm::machine::Rig;
use crate::workspace::Workspace;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Both.
    All,
    /// The checks of the units in a Debian image with systemd as its first process.
    Systemd,
    /// The guard's tests, in a machine that holds nothing else.
    Tests,
}

/// Runs a part on each kernel, also after one that failed; the last line counts what passed.
/// Test executables are given the arguments.
pub(crate) fn run(
    workspace: &Workspace,
    series: &[Series],
    part: Part,
    arguments: &[OsString],
) -> Result<ExitCode> {
    host::install()?;
    let cache = workspace.vm();
    let payload = payload::build(workspace)?;
    let mut suite = Suite::default();
    for series in series {
        let kernel = Kernel::get(&cache, *series)
            .with_context(|| format!("no Debian kernel {series} to test with"))?;
        let rig = Rig::new(kernel, &workspace.target.join("vm"))?;
        if part != Part::Systemd {
            suite.step(&format!("{}: the guard's tests", rig.kernel), |tally| {
                kernel_tests::run(workspace, &rig, &payload, arguments, tally)
            });
        }
        if part != Part::Tests {
            suite.step(&format!("{}: the units", rig.kernel), |tally| {
                systemd::run(workspace, &rig, &payload, tally)
            });
        }
    }
    Ok(suite.finish())
}
