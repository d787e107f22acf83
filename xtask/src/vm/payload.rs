//! What is tested in the machines: programs that this workspace builds.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{cargo, echo};
use crate::workspace::Workspace;
use crate::{ebpf, setup};

/// Programs, by their paths on this host.
#[derive(Debug)]
pub(super) struct Payload {
    /// The gateway.
    pub(super) gateway: PathBuf,
    /// Other programs that tests start.
    pub(super) helpers: Vec<PathBuf>,
    /// Test executables, each of which runs all that it holds.
    pub(super) tests: Vec<PathBuf>,
}

impl Payload {
    /// All of them.
    pub(super) fn programs(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.gateway]
            .into_iter()
            .chain(&self.helpers)
            .chain(&self.tests)
    }

    /// A helper, by its name.
    pub(super) fn helper(&self, name: &str) -> Result<&PathBuf> {
        self.helpers
            .iter()
            .find(|path| path.file_name().is_some_and(|file| file == name))
            .with_context(|| format!("cargo built no {name}"))
    }
}

/// Builds them, with the guard's kernel programs inside.
pub(super) fn build(workspace: &Workspace) -> Result<Payload> {
    setup::ebpf(workspace)?;
    ebpf::build(workspace)?;
    let gateway = built(cargo(workspace).args(["build", "--locked", "--package=connect-gateway"]))?
        .into_iter()
        .find(|artifact| artifact.name == "connect-gateway" && !artifact.test)
        .context("cargo built no connect-gateway")?;
    let mut tests = cargo(workspace);
    tests
        .args(["test", "--locked", "--no-run", "--package=gateway-tests"])
        .args(GUARD_TESTS.map(|test| format!("--test={test}")));
    let mut units = cargo(workspace);
    units.args([
        "test",
        "--locked",
        "--no-run",
        "--package=gateway-guard",
        "--lib",
    ]);
    let artifacts: Vec<Artifact> = built(&mut tests)?
        .into_iter()
        .chain(built(&mut units)?)
        .collect();
    let (tests, helpers): (Vec<_>, Vec<_>) = artifacts.into_iter().partition(|built| built.test);
    if tests.is_empty() {
        bail!("cargo built no tests of the guard");
    }
    let paths = |artifacts: Vec<Artifact>| artifacts.into_iter().map(|built| built.path).collect();
    Ok(Payload {
        gateway: gateway.path,
        helpers: paths(helpers),
        tests: paths(tests),
    })
}

/// An executable that cargo has built.
#[derive(Debug, PartialEq, Eq)]
struct Artifact {
    name: String,
    path: PathBuf,
    test: bool,
}

fn built(command: &mut Command) -> Result<Vec<Artifact>> {
    command
        .args(["--message-format=json-render-diagnostics"])
        .env("GATEWAY_REQUIRE_EBPF", "1");
    echo(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the build failed: {}", output.status);
    }
    let text = String::from_utf8(output.stdout).context("cargo printed what is not UTF-8")?;
    Ok(text.lines().filter_map(artifact).collect())
}

fn artifact(line: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(line).ok()?;
    Some(Artifact {
        name: message.pointer("/target/name")?.as_str()?.to_owned(),
        path: PathBuf::from(message.get("executable")?.as_str()?),
        test: message.pointer("/profile/test")?.as_bool()?,
    })
}

/// Tests whose outcome depends on the kernel.
const GUARD_TESTS: [&str; 3] = ["guard", "guard_life", "guard_split"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_what_cargo_names_an_executable_of() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"guard"},
                       "profile":{"test":true},"executable":"/t/debug/deps/guard-1"}"#;
        let expected = Artifact {
            name: "guard".to_owned(),
            path: PathBuf::from("/t/debug/deps/guard-1"),
            test: true,
        };
        assert_eq!(artifact(line), Some(expected));
        let library = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"wire"},
                          "profile":{"test":false},"executable":null}"#;
        assert_eq!(artifact(library), None);
        assert_eq!(
            artifact(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }
}
