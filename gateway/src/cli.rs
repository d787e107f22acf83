//! The command line. Its commands, options and exit codes are an API.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use config::{Config, ConfigError};

use crate::guard_cli::GuardArgs;
use crate::{auth, check, run};

/// The process's entry.
///
/// Exit status: 0 done; 1 failed at its work; 2 wrong usage, configuration or environment, nothing
/// started; 3 from `guard status` alone: the guard is not enforcing, or not whole.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check { config, offline } => check(&config, offline).map(succeeded),
        Command::Guard(guard) => guard.run(),
        Command::HashPassword => hash_password().map(succeeded),
        Command::Run { config, ready_file } => run::run(&config, ready_file).map(succeeded),
        Command::Version => {
            print!("{}", version());
            Ok(ExitCode::SUCCESS)
        }
    };
    match done {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

/// An authenticating edge gateway for Posit Connect, DeployR and similar back-ends.
#[derive(Parser)]
#[command(name = "connect-gateway", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validate a configuration, and try every back-end that it names.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Validate only; connect to nothing.
        #[arg(long)]
        offline: bool,
    },
    /// Guard a back-end in the kernel: nobody but the gateway connects to it.
    Guard(GuardArgs),
    /// Read a password from standard input and print its hash for an htpasswd file (argon2id).
    HashPassword,
    /// Serve, until SIGTERM or SIGINT drains.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Once serving, write the addresses and the process id to this file, as JSON.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Print the version, and which kernel programs the guard would load.
    Version,
}

/// Why the process did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration, or something that it names, is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The host, or where on it the process runs, is not what the configuration needs.
    #[error("connect-gateway: {0}")]
    Environment(String),
    /// The work failed.
    #[error("connect-gateway: {0}")]
    Work(String),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Environment(_) => ExitCode::from(2),
            Self::Work(_) => ExitCode::FAILURE,
        }
    }
}

fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn version() -> String {
    let object =
        guard::OBJECT_SHA256.map_or_else(|| "none".into(), |hash| format!("sha256 {hash}"));
    let version = env!("CARGO_PKG_VERSION");
    format!("connect-gateway {version}\nguard object {object}\n")
}

fn check(path: &std::path::Path, offline: bool) -> Result<(), Failure> {
    let config = Config::load(path)?;
    check::check(&config, offline)
}

fn hash_password() -> Result<(), Failure> {
    let work = |error: &dyn std::fmt::Display| Failure::Work(format!("hash-password: {error}"));
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        eprintln!("Type the password, then Enter and Ctrl-D. It is shown as you type.");
    }
    let mut password = Vec::new();
    stdin
        .read_to_end(&mut password)
        .map_err(|error| work(&error))?;
    // The line end of `echo` and of a terminal is no part of the password.
    let password = password.strip_suffix(b"\n").unwrap_or(&password);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    if password.is_empty() {
        return Err(work(&"expected a password on standard input"));
    }
    let hash = auth::hash_password(password).map_err(|error| work(&error))?;
    println!("{hash}");
    Ok(())
}
