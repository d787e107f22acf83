//! How many instructions each stage of a request takes, held against what was recorded.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::baseline::{Baseline, Count, Tool};
use crate::command::{self, cargo, output};
use crate::setup;
use crate::workspace::Workspace;

/// Counts, and compares with the baseline or writes it, with what is needed for that installed.
pub(crate) fn instructions(workspace: &Workspace, record: bool) -> Result<()> {
    setup::run(workspace, setup::Level::Build)?;
    setup::instructions(workspace)?;
    if !record {
        return check(workspace);
    }
    let file = file(workspace);
    let baseline = measure(workspace)?;
    println!("{}", baseline.table());
    fs::write(&file, baseline.render())
        .with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("bench: recorded in {}", file.display());
    Ok(())
}

/// Counts, and fails if a count is far from the recorded one.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let file = file(workspace);
    let text = fs::read_to_string(&file).with_context(|| {
        format!(
            "cannot read {}; `{}` writes it",
            file.display(),
            super::baseline::RECORD
        )
    })?;
    let recorded = Baseline::parse(&text).with_context(|| file.display().to_string())?;
    let now = measure(workspace)?;
    println!("{}", now.table());
    recorded.compare(&now)
}

fn file(workspace: &Workspace) -> PathBuf {
    workspace.root.join("bench/instructions/baseline.toml")
}

fn measure(workspace: &Workspace) -> Result<Baseline> {
    let bench = || {
        let mut bench = cargo(workspace);
        bench.args(["bench", "--locked", "--package=gateway-instructions"]);
        bench.arg("--bench=instructions");
        bench
    };
    command::run(bench().arg("--no-run"))?;
    let home = workspace.target.join("instructions");
    forget(&home)?;
    let mut run = bench();
    run.args(["--", "--output-format=json"])
        .arg("--callgrind-args=--cache-sim=no")
        .arg(format!("--home={}", home.display()));
    command::echo(&run);
    let counts = output(&mut run)?
        .lines()
        .map(count)
        .collect::<Result<_>>()?;
    Ok(Baseline {
        tools: tools()?,
        counts,
    })
}

/// Removes earlier counts, with which gungraun would compare. Those of the last run stay: what
/// callgrind wrote tells which functions took the instructions.
fn forget(home: &Path) -> Result<()> {
    match fs::remove_dir_all(home) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", home.display()))
        }
        _ => Ok(()),
    }
}

/// One benchmark, of gungraun's summary (its schema 6).
fn count(line: &str) -> Result<Count> {
    let read = || {
        let summary: Value = serde_json::from_str(line).ok()?;
        let text = |key| Some(summary.get(key)?.as_str()?.to_owned());
        let metric = "/profiles/0/summaries/total/summary/Callgrind/Ir/metrics/Left/Int";
        Some(Count {
            stage: text("function_name")?,
            case: text("id")?,
            instructions: summary.pointer(metric)?.as_u64()?,
        })
    };
    read().with_context(|| format!("gungraun's summary is not as expected: {line}"))
}

/// What else counts depend on. The crates are in Cargo.lock, and valgrind shows the same processor
/// to a program on all that have AVX2.
fn tools() -> Result<Vec<Tool>> {
    let first_line = |program: &str, argument: &str| -> Result<String> {
        let text = output(Command::new(program).arg(argument))?;
        match text.lines().next() {
            Some(line) => Ok(line.to_owned()),
            None => bail!("{program} {argument} printed nothing"),
        }
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let avx2 = cpuinfo.split_ascii_whitespace().any(|flag| flag == "avx2");
    let with = if avx2 { "with" } else { "without" };
    let tools = [
        ("cc", first_line("cc", "--version")?),
        ("libc", first_line("getconf", "GNU_LIBC_VERSION")?),
        (
            "processor",
            format!("{} {with} AVX2", std::env::consts::ARCH),
        ),
        ("rustc", first_line("rustc", "--version")?),
        ("valgrind", first_line("valgrind", "--version")?),
    ];
    let tools = tools.into_iter().map(|(name, version)| Tool {
        name: name.to_owned(),
        version,
    });
    Ok(tools.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_stage_case_and_instructions() {
        let summary = |metrics: &str| {
            format!(
                r#"{{"function_name":"decide","id":"user","profiles":[{{"summaries":{{"total":
                {{"summary":{{"Callgrind":{{"Ir":{{"metrics":{metrics}}}}}}}}}}}}}]}}"#
            )
        };
        let expected = Count {
            stage: "decide".into(),
            case: "user".into(),
            instructions: 4711,
        };
        assert_eq!(
            count(&summary(r#"{"Left":{"Int":4711}}"#)).unwrap(),
            expected
        );
        for bad in [r#"{"Right":{"Int":4711}}"#, r#"{"Left":{"Float":1.5}}"#] {
            assert!(count(&summary(bad)).is_err(), "{bad}");
        }
        assert!(count("Benchmark: decide").is_err());
    }
}
