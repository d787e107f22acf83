//! `connect-gateway guard …`: the guard's service and what talks to it. The guard itself knows no
//! command line, no configuration file and no HTTP.

mod metrics;
mod page;
mod run;
mod talk;
mod translate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use guard::{Mode, Program, Subject};

#[cfg(test)]
pub(crate) use metrics::tests::names as metric_names;

use crate::cli::Failure;

/// What follows `guard`.
#[derive(Args)]
#[command(
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct GuardArgs {
    /// End the override: back to the configured mode.
    #[arg(long, required = true)]
    clear: bool,
    #[command(flatten)]
    how: How,
    #[command(subcommand)]
    command: Option<GuardCommand>,
}

#[derive(Subcommand)]
enum GuardCommand {
    /// Let everything pass and report what would be refused, until `guard --clear`.
    Audit(How),
    /// Attach nothing, until `guard --clear`. The way out of a lock-out.
    Detach(How),
    /// Refuse, until `guard --clear`.
    Enforce(How),
    /// Say which rule decides about a process or an address.
    Explain {
        /// A process id, an address, or an address and port.
        #[arg(value_name = "PID|ADDRESS|ADDRESS:PORT")]
        what: Subject,
        #[command(flatten)]
        how: How,
    },
    /// Guard, until SIGTERM or SIGINT. What is pinned goes on refusing without the process.
    Run(RunArgs),
    /// Tell what the guard does.
    Status(How),
}

/// What all that talk to the service share.
#[derive(Args)]
struct How {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct RunArgs {
    /// The configuration file, of which only `[guard]` is read.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Once guarding, write the addresses and the process id to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Pin nothing: links and maps live and die with the process.
    #[arg(long)]
    unpinned: bool,
    /// For tests: attach only these, to show what each layer does alone. Refused where others are
    /// pinned, which it would detach.
    #[arg(long, value_name = "NAME,…", hide = true, value_delimiter = ',', value_parser = program)]
    programs: Option<Vec<Program>>,
}

impl GuardArgs {
    /// Does it. The exit status is 0, or for `status` 3: reached, but not enforcing and whole.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            None => talk::clear(&self.how),
            Some(GuardCommand::Audit(how)) => talk::set(&how, Mode::Audit),
            Some(GuardCommand::Detach(how)) => talk::set(&how, Mode::Detach),
            Some(GuardCommand::Enforce(how)) => talk::set(&how, Mode::Enforce),
            Some(GuardCommand::Explain { what, how }) => talk::explain(&how, &what),
            Some(GuardCommand::Run(args)) => run::run(args).map(|()| ExitCode::SUCCESS),
            Some(GuardCommand::Status(how)) => talk::status(&how),
        }
    }
}

fn program(name: &str) -> Result<Program, String> {
    let mut all = Program::ALL.iter().copied();
    all.find(|program| program.as_str() == name)
        .ok_or_else(|| "expected the name of a program, as in `guard status`".into())
}

const CONFIG: &str = "/etc/connect-gateway/connect-gateway.toml";

#[cfg(test)]
mod tests;
