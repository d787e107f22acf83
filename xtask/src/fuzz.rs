//! The fuzz targets in `tests/fuzz`, with cargo-fuzz on the stable compiler (no sanitiser: the
//! code under test has no `unsafe`).

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use crate::command::{cargo, echo, run as command};
use crate::workspace::Workspace;

/// A fuzz target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Target {
    AnswerHead,
    Authorization,
    Chunked,
    Config,
    Cookie,
    Decision,
    H3Control,
    H3Frames,
    H3Request,
    H3Section,
    Handshake,
    Packet,
    ProxyProtocol,
    Record,
    RequestHead,
    Websocket,
}

impl Target {
    /// Every target.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Builds and runs one target, or each in turn, for a while.
pub(crate) fn run(workspace: &Workspace, target: Option<Target>, time: Duration) -> Result<()> {
    build(workspace, target)?;
    for target in Target::all().filter(|each| target.is_none_or(|target| target == *each)) {
        smoke(workspace, &[target], time)?;
    }
    Ok(())
}

/// Checks the targets' own code.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    command(
        cargo(workspace)
            .args(["clippy", "--locked", MANIFEST])
            .arg("--target-dir")
            .arg(target_dir(workspace))
            // Nothing is linked, so libFuzzer itself need not be compiled.
            .env(
                "CUSTOM_LIBFUZZER_PATH",
                workspace.target.join("not-linked.a"),
            )
            .args(["--", "--deny=warnings"]),
    )
}

/// Builds one target, or all.
pub(crate) fn build(workspace: &Workspace, target: Option<Target>) -> Result<()> {
    let mut build = cargo_fuzz(workspace, "build");
    if let Some(target) = target {
        build.arg(target.to_string());
    }
    command(&mut build)
}

/// Fuzzes targets for a while, at the same time, each by one process.
pub(crate) fn smoke(workspace: &Workspace, targets: &[Target], time: Duration) -> Result<()> {
    thread::scope(|scope| {
        let fuzz = |target: &Target| {
            let target = *target;
            scope.spawn(move || one(workspace, target, time))
        };
        let running: Vec<_> = targets.iter().map(fuzz).collect();
        // All are waited for, also behind one that has found something.
        let ended: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        for result in ended {
            result.map_err(|_| anyhow!("the thread of a target panicked"))??;
        }
        Ok(())
    })
}

/// Begins with the committed seeds. What it finds on the way is kept under the target directory and
/// used the next time.
fn one(workspace: &Workspace, target: Target, time: Duration) -> Result<()> {
    let corpus = target_dir(workspace)
        .join("corpus")
        .join(target.to_string());
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let tests = workspace.root.join("tests/fuzz");
    let mut run = cargo_fuzz(workspace, "run");
    run.arg(target.to_string())
        .arg(corpus)
        .arg(tests.join("seeds").join(target.to_string()))
        .arg("--")
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-dict={}", tests.join("dictionary").display()))
        .args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=1024"])
        .args(["-verbosity=0", "-print_final_stats=1"]);
    echo(&run);
    let output = run.output().context("cannot start cargo fuzz")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprint!("{}{said}", String::from_utf8_lossy(&output.stdout));
        bail!("{target} found a fault");
    }
    // libFuzzer says a lot that is of no use once it has found nothing.
    for line in said.lines().filter(|line| line.starts_with("stat::")) {
        eprintln!("    {line}");
    }
    Ok(())
}

/// What tells cargo that a command is about the targets.
pub(crate) const MANIFEST: &str = "--manifest-path=tests/fuzz/Cargo.toml";

fn cargo_fuzz(workspace: &Workspace, task: &str) -> Command {
    let mut command = cargo(workspace);
    command
        .args(["fuzz", task, "--sanitizer=none", "--fuzz-dir=tests/fuzz"])
        .arg("--target-dir")
        .arg(target_dir(workspace));
    command
}

/// Apart from the other builds: other compiler flags would have them rebuilt.
fn target_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_fuzz_crate_is_known_and_has_seeds() {
        let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        let mut files: Vec<String> = fs::read_dir(tests.join("targets"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let names: Vec<String> = Target::all().map(|target| target.to_string()).collect();
        assert_eq!(files, names);
        for name in names {
            let seeds = fs::read_dir(tests.join("seeds").join(&name)).unwrap();
            assert!(seeds.count() > 0, "{name} has no seeds");
        }
    }
}
