//! `cargo xtask soak`: mixed load through relays that fail at random, for as long as one likes.
//!
//! Nothing but the faults that were injected may explain an error, and they explain only what
//! breaks off on the leg that they struck: never a wrong answer that looks whole. Whoever goes
//! around the relays must see no error. The gateway must end with the memory and the descriptors
//! that it had when it was warm.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what cannot go on ends the run"
)]

mod failure;
mod faults;
mod report;
mod town;
mod visitor;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::report::{Report, Rest};
use crate::town::Town;

/// Mixed load through relays that fail at random; ends with what came of it.
///
/// Exit status 1: an error that no fault explains, memory that grew by 5 % or more, or descriptors
/// that were not given back.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long, in seconds; a fifth of it, at most a minute, is for warming up
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// Reproduces a run's faults and its choice of work; random if not given
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    println!("soak: {} s, --seed={seed}", arguments.seconds);
    let town = Town::start(seed);
    let length = Duration::from_secs(arguments.seconds);
    let begun = Instant::now();
    town.work_for((length / 5).min(WARM_UP));
    let warm = Rest::of(&town);
    town.work_for(length.saturating_sub(begun.elapsed()));
    let end = Rest::of(&town);
    let report = Report::new(&town, warm, end);
    print!("{report}");
    town.end();
    match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A seed that differs from run to run: a soak looks for what nobody has seen yet.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_nanos() as u64 >> 10
}

const WARM_UP: Duration = Duration::from_secs(60);
