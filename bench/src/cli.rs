//! The command line of `gateway-bench`, which `cargo xtask bench` fills in.

use std::fs::OpenOptions;
use std::path::{self, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::cable::{Cable, Network};
use crate::load::Generators;
use crate::machine;
use crate::order::Protocol;
use crate::place::Place;
use crate::report::Report;
use crate::result::Finding;
use crate::run::{Bench, Effort, deployment};
use crate::scenario::Scenario;
use crate::subject::Kind;
use crate::target::Url;

/// The process's entry. Exit status: 0 measured, 1 not measured, 2 wrong usage.
pub fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measure what the gateway costs beside others that do the same job.
#[derive(Debug, Parser)]
struct Cli {
    /// A few short rounds of the scenarios that matter most.
    #[arg(long)]
    quick: bool,
    /// Only these scenarios.
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
    url: Option<Url>,
    /// Where the programs are.
    #[arg(long, value_name = "DIRECTORY")]
    programs: PathBuf,
    /// Where the scenarios are.
    #[arg(long, value_name = "DIRECTORY")]
    scenarios: PathBuf,
    /// Where the report is written.
    #[arg(long, value_name = "DIRECTORY")]
    out: PathBuf,
}

/// A peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Peer {
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
}

fn run(cli: &Cli) -> Result<()> {
    let effort = if cli.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    let all = Scenario::all(&cli.scenarios)?;
    let mut wanted = chosen(cli, &all)?;
    if let Some(json) = &cli.json {
        can_be_written(json)?;
    }
    allow_descriptors()?;
    // Absolute: some subjects are started in that directory.
    let out = path::absolute(&cli.out).context("no working directory")?;
    let place = Place::make(&out.join("run"))?;
    let mut facts = vec![
        machine::describe()?,
        format!(
            "{} rounds of {:?} for each subject of a scenario",
            effort.rounds, effort.time
        ),
    ];
    if wanted.iter().any(Generators::is_wrk) {
        facts.push(Generators::wrk_version()?);
    }
    let scenarios = match &cli.url {
        Some(url) => {
            let generators = Generators {
                place: &place,
                programs: &cli.programs,
                cable: None,
            };
            each(&wanted, |scenario| {
                deployment(&generators, scenario, url, effort)
            })?
        }
        None => {
            let cable = lay(cli, &mut wanted, &mut facts)?;
            let kinds = kinds(&cli.against);
            for kind in &kinds {
                facts.extend(kind.version(&cli.programs)?);
            }
            let mut without = Vec::new();
            if wanted.iter().any(|one| one.protocol == Protocol::H3) {
                for &kind in &kinds {
                    // The floor is among none of those.
                    if kind != Kind::Floor && !kind.has_http3()? {
                        facts.push(format!("{kind}: what is installed has no HTTP/3"));
                        without.push(kind);
                    }
                }
            }
            let able = |scenario: &Scenario| -> Vec<Kind> {
                let able =
                    |kind: &&Kind| scenario.protocol == Protocol::H1 || !without.contains(kind);
                kinds.iter().filter(able).copied().collect()
            };
            let bench = Bench::start(&place, &cli.programs, effort, cable)?;
            if let Some(why) = &bench.uncounted {
                facts.push(format!("system calls were not counted: {why}"));
            }
            each(&wanted, |scenario| bench.run(scenario, &able(scenario)))?
        }
    };
    let report = Report { facts, scenarios };
    report.write(&cli.out, cli.json.as_ref())?;
    print!("{}", report.markdown());
    Ok(())
}

/// Said before anything is measured, not after half an hour. What is in the file stays until then.
fn can_be_written(file: &Path) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

/// Thousands of connections are to be held, by every process that is started here.
fn allow_descriptors() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of descriptors")
}

/// Every scenario in turn, and aloud: they take their time.
fn each(
    scenarios: &[Scenario],
    run: impl Fn(&Scenario) -> Result<Vec<Finding>>,
) -> Result<Vec<(Scenario, Vec<Finding>)>> {
    let one = |scenario: &Scenario| {
        eprintln!("bench: {}: {}", scenario.name, scenario.about);
        Ok((scenario.clone(), run(scenario)?))
    };
    scenarios.iter().map(one).collect()
}

fn chosen(cli: &Cli, all: &[Scenario]) -> Result<Vec<Scenario>> {
    if !cli.scenario.is_empty() {
        return Scenario::named(all, &cli.scenario);
    }
    let wanted: Vec<Scenario> = all
        .iter()
        .filter(|scenario| scenario.quick || !cli.quick)
        .filter(|scenario| scenario.deployment || cli.url.is_none())
        .cloned()
        .collect();
    ensure!(
        !wanted.is_empty(),
        "no scenario in {}",
        cli.scenarios.display()
    );
    Ok(wanted)
}

/// The cable, if a wanted scenario is over veth. Where it cannot be laid, that is an error if the
/// scenario was named; else those over veth are left out, and `facts` has the reason.
fn lay(cli: &Cli, wanted: &mut Vec<Scenario>, facts: &mut Vec<String>) -> Result<Option<Cable>> {
    if wanted.iter().all(|one| one.network == Network::Loopback) {
        return Ok(None);
    }
    match Cable::lay() {
        Err(error) if cli.scenario.is_empty() => {
            wanted.retain(|one| one.network == Network::Loopback);
            facts.push(format!("left out what is over veth: {error:#}"));
            Ok(None)
        }
        laid => laid.map(Some),
    }
}

/// Whoever a scenario may have, ours first: the ratios are its.
fn kinds(peers: &[Peer]) -> Vec<Kind> {
    let wanted = |kind: &Kind| match kind {
        Kind::Floor | Kind::Gateway | Kind::GatewayH1 | Kind::GatewayTwoWorkers => true,
        Kind::Haproxy => peers.contains(&Peer::Haproxy),
        Kind::Nginx => peers.contains(&Peer::Nginx),
    };
    Kind::all().into_iter().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn cli(arguments: &str) -> Result<Cli, clap::Error> {
        let places = "gateway-bench --programs=p --scenarios=s --out=o ";
        Cli::try_parse_from((places.to_owned() + arguments).split_whitespace())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn peers_are_named_and_the_gateway_is_first() {
        let kinds = |arguments| kinds(&cli(arguments).unwrap().against);
        assert_eq!(kinds(""), Kind::all());
        assert_eq!(kinds("")[0], Kind::Gateway);
        assert_eq!(kinds("--against haproxy")[4..], [Kind::Haproxy]);
        assert!(cli("--against apache").is_err());
    }

    #[test]
    fn a_deployment_has_no_peers() {
        assert!(cli("--url https://a.test/").is_ok());
        assert!(cli("--url http://a.test/").is_err());
        assert!(cli("--url https://a.test/ --against nginx").is_err());
    }
}
