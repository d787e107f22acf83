//! Developer tasks: `cargo xtask setup | build-ebpf | bench | demo | test | prove | fuzz | soak | vm`.

mod bench;
mod command;
mod demo;
mod ebpf;
mod fuzz;
mod launch;
mod setup;
mod soak;
mod suite;
mod vm;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::fuzz::Target;
use crate::suite::Scale;
use crate::vm::{Kernels, Part};
use crate::workspace::Workspace;

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match task {
        Task::Bench { what, options } => match what {
            None => bench::run(&workspace, &options),
            Some(Bench::Guard) => bench::guard(&workspace),
            Some(Bench::Instructions { record }) => {
                bench::instructions(&workspace, record)?;
                Ok(ExitCode::SUCCESS)
            }
        },
        Task::BuildEbpf => {
            ebpf::build(&workspace)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Demo { command } => demo::run(&workspace, &command),
        Task::Fuzz { seconds, target } => {
            setup::run(&workspace, setup::Level::Test)?;
            fuzz::run(&workspace, target, Duration::from_secs(seconds))?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Launch {
            cgroup,
            parent,
            program,
            arguments,
        } => {
            let error = launch::exec(parent, cgroup.as_deref(), &program, &arguments);
            eprintln!("xtask: {error:#}");
            Ok(ExitCode::from(launch::NOT_STARTED))
        }
        Task::Prove => suite::run(&workspace, Scale::Full),
        Task::Setup { test } => {
            let level = if test {
                setup::Level::Test
            } else {
                setup::Level::Build
            };
            setup::run(&workspace, level)?;
            setup::ebpf(&workspace)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Soak { minutes, seed } => {
            soak::run(&workspace, Duration::from_secs(minutes * 60), seed)
        }
        Task::Test => suite::run(&workspace, Scale::Short),
        Task::Vm {
            kernel,
            systemd,
            tests,
            arguments,
        } => {
            let part = match (systemd, tests) {
                (true, _) => Part::Systemd,
                (_, true) => Part::Tests,
                _ => Part::All,
            };
            vm::run(&workspace, kernel.series(), part, &arguments)
        }
    }
}

/// Developer tasks of connect-gateway.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure what the gateway costs on this machine, beside others that do the same job.
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        #[command(subcommand)]
        what: Option<Bench>,
        #[command(flatten)]
        options: bench::Options,
    },
    /// Build the guard's kernel programs into target/bpf/guard.o.
    BuildEbpf,
    /// Start the gateway with two back-ends on loopback, as root with the guard before them; stay
    /// until Ctrl-C, or run COMMAND.
    Demo {
        /// Run this once everything is ready, with GATEWAY_URL and the like, then end everything.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Fuzz one target, or each in turn.
    Fuzz {
        /// How long, for each target.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// Which target; all if none is named.
        target: Option<Target>,
    },
    /// Become PROGRAM, and be ended when the process PARENT ends.
    #[command(hide = true)]
    Launch {
        /// The directory of the cgroup to enter before.
        #[arg(long)]
        cgroup: Option<PathBuf>,
        /// The process that asks for it.
        parent: u32,
        /// What to become.
        program: OsString,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Everything of `test`, with the full counts that the issues name.
    Prove,
    /// Install what is missing to build the workspace.
    Setup {
        /// Also what the tests need: real clients, a browser, cargo-deny, cargo-fuzz.
        #[arg(long)]
        test: bool,
    },
    /// Load the gateway with everything at once, with faults at random on both sides; fail if one
    /// error is unexplained, or if it grew. From 20 minutes on, meanwhile visitors of real
    /// applications rest for 15, which must keep them.
    Soak {
        /// How long.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        minutes: u64,
        /// The seed that an earlier run printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Check and test everything; the last line counts what passed and what failed.
    Test,
    /// Test the guard on Debian's kernels, and its units under systemd, in virtual machines.
    Vm {
        /// On which kernel.
        #[arg(long, default_value = "all")]
        kernel: Kernels,
        /// Only the units.
        #[arg(long, conflicts_with = "tests")]
        systemd: bool,
        /// Only the guard's tests.
        #[arg(long)]
        tests: bool,
        /// What each test executable is given, such as the names of tests.
        #[arg(last = true, requires = "tests", value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Bench {
    /// What the guard costs for a packet, a connection and a request; as root.
    Guard,
    /// How many instructions each stage of a request takes; fail if a count is far from the recorded
    /// one.
    Instructions {
        /// Record the counts in bench/instructions/baseline.toml instead.
        #[arg(long)]
        record: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_benchmark_is_of_the_gateway_unless_it_says_of_what() {
        let parse = |line: &[&str]| Cli::try_parse_from([&["xtask", "bench"], line].concat());
        for (line, expected) in [
            (&[][..], None),
            (&["--quick"], None),
            (&["guard"], Some(Bench::Guard)),
            (
                &["instructions"],
                Some(Bench::Instructions { record: false }),
            ),
            (
                &["instructions", "--record"],
                Some(Bench::Instructions { record: true }),
            ),
        ] {
            let Task::Bench { what, .. } = parse(line).unwrap().task else {
                panic!("not a benchmark");
            };
            assert_eq!(what, expected, "{line:?}");
        }
        assert!(parse(&["--quick", "guard"]).is_err());
        assert!(parse(&["--record"]).is_err());
    }

    #[test]
    fn a_demo_command_keeps_its_own_options() {
        let cli = Cli::parse_from(["xtask", "demo", "--", "bash", "-c", "exit 3", "--", "-x"]);
        let Task::Demo { command } = cli.task else {
            panic!("{:?}", cli.task);
        };
        assert_eq!(command, ["bash", "-c", "exit 3", "--", "-x"]);
    }

    #[test]
    fn a_launch_passes_arguments_on_unread() {
        let line = [
            "xtask",
            "launch",
            "--cgroup",
            "/c",
            "7",
            "/bin/gateway",
            "run",
            "--config",
            "f",
            "--",
            "-h",
        ];
        let Task::Launch {
            cgroup, arguments, ..
        } = Cli::parse_from(line).task
        else {
            panic!("not a launch");
        };
        assert_eq!(cgroup, Some("/c".into()));
        assert_eq!(arguments, ["run", "--config", "f", "--", "-h"]);
    }
}
