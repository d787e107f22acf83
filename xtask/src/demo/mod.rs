//! `cargo xtask demo`: the whole system on loopback, to look at or to run a command against.

mod build;
mod config;
mod double;
mod facts;
mod files;
mod gateway;
mod orphans;
mod ports;
mod process;
mod stop;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::demo::double::Double;
use crate::demo::facts::Facts;
use crate::demo::files::Files;
use crate::demo::gateway::Gateway;
use crate::demo::stop::Stop;
use crate::launch;
use crate::setup::{self, Level};
use crate::workspace::Workspace;

/// Sets up, builds and starts everything; then stays until a signal, or runs `command` and ends
/// with its status.
pub(crate) fn run(workspace: &Workspace, command: &[OsString]) -> Result<ExitCode> {
    setup::run(workspace, Level::Build)?;
    build::run(workspace)?;
    let files = Files::prepare(workspace)?;
    let stop = Stop::on_signals()?;
    let mut demo = Demo::start(workspace, &files, &stop)?;
    let code = match command.split_first() {
        None => demo.stay(&stop)?,
        Some((program, arguments)) => demo.run(program, arguments, &stop)?,
    };
    demo.end()?;
    Ok(code)
}

/// The running system. Fields are in the order in which they end.
struct Demo {
    gateway: Gateway,
    double: Double,
    facts: Facts,
}

impl Demo {
    fn start(workspace: &Workspace, files: &Files, stop: &Stop) -> Result<Self> {
        let double = Double::start(workspace, files, stop)?;
        let login = files.add_user(workspace)?;
        let gateway = Gateway::start(workspace, files, &double.addresses, stop)?;
        let facts = Facts::new(files, login, &gateway, &double.addresses);
        facts.write(&files.facts())?;
        Ok(Self {
            gateway,
            double,
            facts,
        })
    }

    /// Shows what there is to try, until a signal.
    fn stay(&mut self, stop: &Stop) -> Result<ExitCode> {
        print!("{}", self.facts);
        while !stop.is_asked() {
            self.gateway.process.expect_running()?;
            self.double.process.expect_running()?;
            sleep(POLL);
        }
        eprintln!("demo: ending");
        Ok(ExitCode::SUCCESS)
    }

    /// Runs a command with the facts in its environment, and everything that it started.
    fn run(&mut self, program: &OsString, arguments: &[OsString], stop: &Stop) -> Result<ExitCode> {
        orphans::adopt()?;
        eprintln!("demo: ready; running {}", program.display());
        let mut command = launch::tied(program).context("cannot find this program's own file")?;
        command.args(arguments).envs(self.facts.environment());
        let status = self.wait(command, stop);
        orphans::end(&[self.gateway.process.id(), self.double.process.id()])?;
        status.map(exit_code)
    }

    fn wait(&mut self, mut command: Command, stop: &Stop) -> Result<ExitStatus> {
        let mut child = command.spawn().context("cannot start the command")?;
        let mut watched = [
            (&mut self.gateway.process, false),
            (&mut self.double.process, false),
        ];
        let mut asked: Option<Instant> = None;
        loop {
            if let Some(status) = child.try_wait().context("cannot wait for the command")? {
                return Ok(status);
            }
            match asked {
                None if stop.is_asked() => {
                    process::signal(child.id(), rustix::process::Signal::TERM)?;
                    asked = Some(Instant::now());
                }
                Some(since) if since.elapsed() > PATIENCE => {
                    child.kill().context("cannot kill the command")?;
                }
                _ => (),
            }
            for (process, told) in &mut watched {
                // The command may have ended it on purpose: its status is what counts.
                if !*told && let Some(status) = process.ended()? {
                    *told = true;
                    eprintln!("demo: {} has ended: {status}", process.name());
                }
            }
            sleep(POLL);
        }
    }

    fn end(self) -> Result<()> {
        self.gateway.process.end(PATIENCE)?;
        self.double.end(PATIENCE)
    }
}

/// A shell's convention: 128 and the signal's number for a program that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let signal = || status.signal().map(|signal| signal + 128);
    let code = status.code().or_else(signal).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

const POLL: Duration = Duration::from_millis(50);
/// How long a child that was asked to end may take; longer than the demo's drain.
const PATIENCE: Duration = Duration::from_secs(5);
