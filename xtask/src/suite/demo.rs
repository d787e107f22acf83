//! The demo, run as a visitor of the repository runs it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::cargo;
use crate::workspace::Workspace;

/// Runs a script in the demo, which checks what the demo says of itself; then checks that its
/// status came through and that nothing is left running.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let mut demo = cargo(workspace);
    demo.args(["run", "--quiet", "--locked", "--package=xtask", "--"])
        .args(["demo", "--", "sh", "-eu", "-c", SCRIPT])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    eprintln!("  $ cargo xtask demo -- sh -eu -c \"$(cat xtask/src/suite/demo.sh)\"");
    let output = demo.output().context("cannot start the demo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    if output.status.code() != Some(STATUS) {
        bail!("expected the command's status, {STATUS}: {}", output.status);
    }
    let facts = workspace.demo().join("demo.json");
    let text = fs::read_to_string(&facts).context("the demo wrote no demo.json")?;
    let facts: Value = serde_json::from_str(&text).context("demo.json is not JSON")?;
    let gateway = facts.get("gateway_pid").and_then(Value::as_u64);
    let left = said
        .lines()
        .find_map(|line| line.strip_prefix("left behind: "));
    expect_ended(
        &gateway
            .context("demo.json names no gateway_pid")?
            .to_string(),
    )?;
    expect_ended(left.context("the script did not come to its end")?)
}

fn expect_ended(pid: &str) -> Result<()> {
    if Path::new("/proc").join(pid).exists() {
        bail!("process {pid} is left running");
    }
    Ok(())
}

const SCRIPT: &str = include_str!("demo.sh");
/// What the script exits with.
const STATUS: i32 = 7;
