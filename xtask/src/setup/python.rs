//! The Python clients and applications, in a virtual environment of their own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{output, run};
use crate::workspace::Workspace;

/// The interpreter of the environment.
pub(crate) fn interpreter(workspace: &Workspace) -> PathBuf {
    workspace.python().join("bin/python")
}

/// Installs what `tests/clients/requirements.txt` names, unless just that is installed.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    let list = workspace.root.join("tests/clients/requirements.txt");
    let wanted =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let stamp = workspace.python().join("installed.txt");
    if is_installed(workspace, &stamp, &wanted) {
        return Ok(());
    }
    eprintln!(
        "setup: installing the Python clients and applications that tests run, into {}",
        workspace.python().display()
    );
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(workspace.python()))?;
    run(Command::new(interpreter(workspace))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .arg("--requirement")
        .arg(&list))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn is_installed(workspace: &Workspace, stamp: &PathBuf, wanted: &str) -> bool {
    // An environment whose base interpreter has gone is made again.
    fs::read_to_string(stamp).is_ok_and(|installed| installed == wanted)
        && output(Command::new(interpreter(workspace)).arg("--version")).is_ok()
}
