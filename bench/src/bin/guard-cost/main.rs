//! What the guard costs: `cargo xtask bench guard`, as root. docs/performance.md explains the
//! figures.
//!
//! Everything happens in a network namespace and cgroups of its own. The programs are attached at
//! the root of cgroup v2 for that time and refuse nothing outside that namespace.

mod cost;
mod cpu;
mod nft;
mod place;
mod steer;
mod traffic;

use std::env;
use std::ffi::OsStr;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gateway_bench::figures::Figures;
use gateway_bench::machine;
use guard::{Local, Rules};

use crate::cost::Round;
use crate::cpu::{Bench, Variant};
use crate::place::{Cgroups, Role};
use crate::traffic::Traffic;

/// Exit status: 0 every aim was met; 1 one was missed, or nothing could be measured.
fn main() -> ExitCode {
    // The only argument is this program's own: see `place`.
    let done = match env::args_os().nth(1) {
        None => Err(place::enter_namespace()),
        Some(outside) => run(&outside),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guard-cost: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every aim was met.
fn run(outside: &OsStr) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("only root can attach programs");
    }
    place::prepare_namespace(outside)?;
    place::pin()?;
    println!("{}\n", machine::describe()?);
    let cgroups = Cgroups::make()?;
    let rules = rules(&cgroups)?;
    let traffic = Traffic::listen(&cgroups)?;
    let round = |_| Ok((cost::measure(&rules, &traffic)?, steer::measure(&rules)?));
    let met = print_costs(&(0..ROUNDS).map(round).collect::<Result<Vec<_>>>()?)?;
    print_cpu(&Bench {
        cgroups: &cgroups,
        rules: &rules,
        traffic: &traffic,
    })?;
    Ok(met)
}

fn rules(cgroups: &Cgroups) -> Result<Rules> {
    let path = |role| cgroups.path(role).context("no cgroup");
    Ok(Rules {
        slice: path(Role::Gateway)?,
        locals: vec![Local {
            address: None,
            port: traffic::PROTECTED.port(),
            service: path(Role::Backend)?,
            uid: None,
            namespace: None,
            reserve: true,
            allow_from: Vec::new(),
        }],
        remotes: Vec::new(),
        exceptions: Vec::new(),
    })
}

/// Prints what was measured beside the aims; true if every median meets its own.
fn print_costs(rounds: &[(Round, steer::Round)]) -> Result<bool> {
    let of = |value: fn(&Round) -> f64| {
        let values: Vec<f64> = rounds.iter().map(|(round, _)| value(round)).collect();
        Figures::of(&values).context("no round")
    };
    let steered = |value: fn(&steer::Round) -> f64| {
        let values: Vec<f64> = rounds.iter().map(|(_, round)| value(round)).collect();
        Figures::of(&values).context("no round")
    };
    println!(
        "Nanoseconds from the kernel's run-time statistics, less an empty program's; \
         {ROUNDS} rounds\n\n{:<46}{:>8}   {:>16}   {:>5}",
        "", "median", "spread", "aim"
    );
    let mut met = true;
    for (what, figures, aim) in [
        (
            "a packet to another port",
            of(|round| round.other)?,
            Some(60.0),
        ),
        (
            "a packet to a protected port, peer verified",
            of(|round| round.protected)?,
            Some(110.0),
        ),
        (
            "a connect to a protected port",
            of(|round| round.call)?,
            Some(250.0),
        ),
        (
            "the three packets that it leads to, together",
            of(|round| round.handshake)?,
            None,
        ),
        (
            "a proxied request, computed",
            of(Round::request)?,
            Some(600.0),
        ),
        (
            "a datagram of QUIC, by its connection ID",
            steered(|round| round.known)?,
            None,
        ),
        (
            "one that names no connection of ours",
            steered(|round| round.unknown)?,
            None,
        ),
    ] {
        let missed = aim.is_some_and(|aim| figures.median > aim);
        met &= !missed;
        let aim = aim.map(|aim: f64| format!("{aim:.0}")).unwrap_or_default();
        let mark = if missed { "   MISSED" } else { "" };
        println!("{what:<46}{figures}   {aim:>5}{mark}");
    }
    println!(
        "\nA proxied request: {:.2} packets to the protected port, {:.2} to others. \
         Up to {:.1} % of the packets in a round were not ours.\n",
        of(|round| round.protected_packets)?.median,
        of(|round| round.other_packets)?.median,
        100.0 * of(|round| round.foreign)?.most,
    );
    Ok(met)
}

/// Prints, as information, the CPU time of a request with each variant, in alternating rounds. One
/// that this host has not is named with the reason.
fn print_cpu(bench: &Bench<'_>) -> Result<()> {
    let mut variants = Vec::new();
    let mut missing = Vec::new();
    for variant in Variant::ALL {
        match (bench.request(variant), variant) {
            (Ok(_), _) => variants.push((variant, Vec::new())),
            (Err(error), Variant::Nft(_)) => missing.push((variant, error)),
            (Err(error), _) => return Err(error),
        }
    }
    for _ in 0..ROUNDS {
        for (variant, rounds) in &mut variants {
            rounds.push(bench.request(*variant)?);
        }
    }
    println!(
        "Microseconds of CPU for a proxied request, client, proxy and service in one process; \
         {ROUNDS} rounds\n\n{:<36}{:>8}   {:>16}   {:>8}   {:>16}",
        "before the service stands", "median", "spread", "more", "spread"
    );
    let nothing = variants.first().map(|(_, rounds)| rounds.clone());
    let nothing = nothing.context("no variant")?;
    for (variant, rounds) in &variants {
        let more: Vec<f64> = rounds
            .iter()
            .zip(&nothing)
            .map(|(with, without)| with - without)
            .collect();
        let (figures, more) = (Figures::of(rounds), Figures::of(&more));
        let (figures, more) = figures.zip(more).context("no round")?;
        let variant = variant.to_string();
        println!("{variant:<36}{figures:.2}   {more:.2}");
    }
    for (variant, error) in missing {
        println!("{variant}: not here: {error:#}");
    }
    Ok(())
}

const ROUNDS: usize = 11;
