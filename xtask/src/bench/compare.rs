//! What the gateway costs beside others that do the same job.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::status;
use crate::command::{self, cargo};
use crate::setup::{self, Peer};
use crate::workspace::Workspace;

/// What is measured, and how thoroughly.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A few short rounds of the scenarios that matter most: less than 4 minutes in all.
    #[arg(long)]
    quick: bool,
    /// Only these scenarios, by the names of the files in bench/scenarios.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Write the findings to this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Beside whom.
    #[arg(
        long,
        value_name = "PEER",
        value_delimiter = ',',
        default_value = "nginx,haproxy"
    )]
    against: Vec<Peer>,
    /// Load this deployment, instead of what would be started here: an `https` URL, with
    /// `NAME:PASSWORD@` before the host if it asks for a login.
    #[arg(long, conflicts_with = "against")]
    url: Option<OsString>,
}

/// Measures, and leaves the report in `target/bench`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let scenarios = workspace.root.join("bench/scenarios");
    // Before minutes are spent on what it needs.
    known(&scenarios, &options.scenario)?;
    setup::run(workspace, setup::Level::Build)?;
    setup::bench(if options.url.is_some() {
        &[]
    } else {
        &options.against
    })?;
    // Apart, so that the gateway has no feature of a dependency that only the bench asks for.
    build(
        workspace,
        &["--package=connect-gateway", "--bin=connect-gateway"],
    )?;
    build(workspace, &["--package=gateway-bench", "--bins"])?;
    let out = workspace.bench();
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut bench = Command::new(workspace.release("gateway-bench"));
    bench
        .args(options.arguments())
        .arg("--programs")
        .arg(workspace.release(""))
        .arg("--scenarios")
        .arg(&scenarios)
        .arg("--out")
        .arg(&out);
    let code = status(&mut bench, "gateway-bench")?;
    if code == ExitCode::SUCCESS {
        eprintln!("bench: the report is in {}", out.display());
    }
    Ok(code)
}

/// An error names what there is.
fn known(scenarios: &Path, names: &[String]) -> Result<()> {
    let mut known = Vec::new();
    let unread = || format!("cannot read {}", scenarios.display());
    for entry in fs::read_dir(scenarios).with_context(unread)? {
        let path = entry.with_context(unread)?.path();
        known.extend(
            path.file_stem()
                .and_then(|name| name.to_str().map(str::to_owned)),
        );
    }
    known.sort();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => bail!("no scenario {name:?}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

fn build(workspace: &Workspace, what: &[&str]) -> Result<()> {
    let mut build = cargo(workspace);
    build.args(["build", "--release", "--locked"]).args(what);
    command::run(&mut build)
}

impl Options {
    /// As `gateway-bench` takes them.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if self.quick {
            arguments.push("--quick".into());
        }
        for scenario in &self.scenario {
            arguments.extend(["--scenario".into(), scenario.into()]);
        }
        if let Some(json) = &self.json {
            arguments.extend(["--json".into(), json.into()]);
        }
        match &self.url {
            Some(url) => arguments.extend(["--url".into(), url.into()]),
            None => {
                for peer in self.against.iter().filter_map(ValueEnum::to_possible_value) {
                    arguments.extend(["--against".into(), peer.get_name().into()]);
                }
            }
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn scenarios_are_known_by_their_files() {
        let scenarios = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/scenarios"));
        let known = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            known(scenarios, &names).map_err(|error| error.to_string())
        };
        assert_eq!(known(&[]), Ok(()));
        assert_eq!(known(&["idle", "h1-1k"]), Ok(()));
        let error = known(&["idle", "h1"]).unwrap_err();
        assert!(
            error.starts_with("no scenario \"h1\"; there are h1-1k, "),
            "{error}"
        );
    }

    #[test]
    fn options_are_handed_on() {
        for (given, handed_on) in [
            ("", "--against nginx --against haproxy"),
            (
                "--quick --scenario a,b --json f --against nginx",
                "--quick --scenario a --scenario b --json f --against nginx",
            ),
            ("--url https://a/", "--url https://a/"),
        ] {
            let line = ["bench"].into_iter().chain(given.split_whitespace());
            let arguments = Line::parse_from(line).options.arguments();
            let expected: Vec<&str> = handed_on.split_whitespace().collect();
            assert_eq!(arguments, expected);
        }
    }
}
