//! `cargo xtask soak`: mixed load with random faults, for as long as one likes; meanwhile the
//! simulation with seeds that nobody has tried, and real applications whose visitors rest.

use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::command::{self, cargo};
use crate::setup::{self, Level};
use crate::suite::{self, Tally};
use crate::workspace::Workspace;

/// Builds the gateway and its soak in release, and runs it for so long. Fails if an error is
/// unexplained, if memory or descriptors have grown, or if a simulated run breaks a promise. In a
/// long soak, fails also if a real application lost a visitor who did nothing for 15 minutes.
pub(crate) fn run(workspace: &Workspace, time: Duration, seed: Option<u64>) -> Result<ExitCode> {
    let long = time >= LONG;
    setup::run(workspace, if long { Level::Test } else { Level::Build })?;
    build(workspace)?;
    command::run(simulation(workspace).arg("--no-run"))?;
    if long {
        command::run(apps(workspace).arg("--no-run"))?;
    } else {
        let minutes = LONG.as_secs() / 60;
        println!("soak: without the idle applications, which need at least {minutes} minutes");
    }
    let end = Instant::now() + time;
    let (good, simulated, kept) = thread::scope(|scope| {
        let simulated = scope.spawn(|| simulate(workspace, end, seed));
        let kept = long.then(|| scope.spawn(|| keep_idle(workspace)));
        let good = load(workspace, time, seed);
        (good, simulated.join(), kept.map(|kept| kept.join()))
    });
    let mut passed = good?;
    for (what, beside) in [("simulation", Some(simulated)), ("idle applications", kept)] {
        match beside {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => {
                println!("{what}: {error:#}");
                passed = false;
            }
            Some(Err(_)) => bail!("{what}: the thread panicked"),
        }
    }
    Ok(match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A short load, as a step of `cargo xtask prove`.
pub(crate) fn smoke(workspace: &Workspace) -> Result<()> {
    build(workspace)?;
    match load(workspace, SMOKE, None)? {
        true => Ok(()),
        false => bail!("the soak failed"),
    }
}

fn build(workspace: &Workspace) -> Result<()> {
    for (package, bin) in [
        ("connect-gateway", "connect-gateway"),
        ("gateway-tests", "soak"),
    ] {
        command::run(
            cargo(workspace)
                .args(["build", "--release", "--locked", "--package", package])
                .args(["--bin", bin]),
        )?;
    }
    Ok(())
}

/// Whether the gateway bears the load.
fn load(workspace: &Workspace, time: Duration, seed: Option<u64>) -> Result<bool> {
    let mut soak = Command::new(workspace.release("soak"));
    soak.arg(format!("--seconds={}", time.as_secs()))
        .args(seed.map(|seed| format!("--seed={seed}")))
        .env("GATEWAY_TEST_BIN", workspace.release("connect-gateway"));
    command::echo(&soak);
    let status = soak.status().context("cannot start the soak")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("soak: {status}"),
    }
}

/// Simulates with one seed after the other until the time is over, and with one in any case.
fn simulate(workspace: &Workspace, end: Instant, seed: Option<u64>) -> Result<()> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for seed in seed.unwrap_or(clock).. {
        let output = simulation(workspace)
            .args(["--", "--nocapture"])
            .env("GATEWAY_TEST_SCALE", "full")
            .env("GATEWAY_TEST_SEED", seed.to_string())
            .output()
            .context("cannot start the simulation")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let Some(runs) = said.lines().find(|line| line.contains(" runs: ")) else {
            bail!("{said}{}", String::from_utf8_lossy(&output.stderr));
        };
        if !output.status.success() {
            bail!("{said}{}", String::from_utf8_lossy(&output.stderr));
        }
        println!("simulation, seed {seed}: {runs}");
        if Instant::now() > end {
            break;
        }
    }
    Ok(())
}

/// The simulation as a test.
fn simulation(workspace: &Workspace) -> Command {
    let mut simulation = cargo(workspace);
    simulation
        .args(["test", "--release", "--locked", "--package=connect-gateway"])
        .args(["--lib", "no_interleaving_breaks_a_promise"]);
    simulation
}

/// Fails unless every application still knows its visitors after they have rested.
fn keep_idle(workspace: &Workspace) -> Result<()> {
    let mut tally = Tally::default();
    let mut apps = apps(workspace);
    // All rest at the same time.
    apps.args(["--", "keeps_its_visitors"])
        .arg(format!("--test-threads={APPS}"))
        .env("GATEWAY_TEST_BIN", workspace.release("connect-gateway"))
        .env("GATEWAY_TEST_PYTHON", setup::interpreter(workspace))
        .env("GATEWAY_TEST_SCALE", "soak")
        .env("GATEWAY_TEST_PATIENCE", PATIENCE);
    suite::test(&mut apps, &mut tally)?;
    if tally.passed != APPS {
        bail!("{} were tried, and not {APPS}", tally.passed);
    }
    println!("idle applications: {APPS} kept their visitors");
    Ok(())
}

/// The tests with real applications.
fn apps(workspace: &Workspace) -> Command {
    let mut apps = cargo(workspace);
    apps.args(["test", "--release", "--locked"]).args([
        "--package",
        "gateway-tests",
        "--test",
        "apps",
    ]);
    apps
}

/// Visitors rest for 15 minutes, after applications and visitors have started beside the load.
const LONG: Duration = Duration::from_secs(20 * 60);

const SMOKE: Duration = Duration::from_secs(30);

/// How many applications keep idle visitors.
const APPS: usize = 5;

/// The load takes all of the machine.
const PATIENCE: &str = "4";
