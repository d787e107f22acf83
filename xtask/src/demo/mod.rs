//! `cargo xtask demo`: the whole system on loopback, to look at or to run a command against.

mod build;
mod cgroups;
mod config;
mod double;
mod facts;
mod files;
mod gateway;
mod guard;
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

use crate::demo::cgroups::Member;
use crate::demo::config::Ports;
use crate::demo::double::Double;
use crate::demo::facts::{Facts, Known};
use crate::demo::files::Files;
use crate::demo::gateway::Gateway;
use crate::demo::guard::Guard;
use crate::demo::process::Process;
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
    guard: Option<Guard>,
    facts: Facts,
}

impl Demo {
    fn start(workspace: &Workspace, files: &Files, stop: &Stop) -> Result<Self> {
        let ports = Ports::choose()?;
        let guard = Guard::start(workspace, files, ports, stop)?;
        let cgroup = |member| guard.as_ref().map(|guard| guard.cgroup(member));
        let own = cgroup(Member::BackEnd);
        let double = Double::start(workspace, files, ports, own.as_deref(), stop)?;
        let login = files.add_user(workspace)?;
        let own = cgroup(Member::Gateway);
        let gateway = Gateway::start(workspace, files, ports, own.as_deref(), stop)?;
        if let Some(guard) = &guard {
            guard.prove(ports)?;
        }
        let facts = Facts::new(&Known {
            workspace,
            files,
            login: &login,
            ports,
            gateway: gateway.process.id(),
            back_ends: &double.addresses,
            cgroups: guard.as_ref().map(|guard| guard.cgroups.directory()),
        });
        facts.write(&files.facts())?;
        Ok(Self {
            gateway,
            double,
            guard,
            facts,
        })
    }

    /// Shows what there is to try, until a signal.
    fn stay(&mut self, stop: &Stop) -> Result<ExitCode> {
        print!("{}", self.facts);
        while !stop.is_asked() {
            for process in self.processes() {
                process.expect_running()?;
            }
            sleep(POLL);
        }
        eprintln!("demo: ending");
        Ok(ExitCode::SUCCESS)
    }

    /// Runs a command with the facts in its environment, and everything that it started.
    fn run(&mut self, program: &OsString, arguments: &[OsString], stop: &Stop) -> Result<ExitCode> {
        orphans::adopt()?;
        if let Some(guarded) = self.facts.guarded() {
            eprintln!("demo: guarded:\n{guarded}");
        }
        eprintln!("demo: ready; running {}", program.display());
        let mut command = launch::tied(program).context("cannot find this program's own file")?;
        command.args(arguments).envs(self.facts.environment());
        let status = self.wait(command, stop);
        let own: Vec<u32> = self.processes().map(|process| process.id()).collect();
        orphans::end(&own)?;
        status.map(exit_code)
    }

    fn wait(&mut self, mut command: Command, stop: &Stop) -> Result<ExitStatus> {
        let mut child = command.spawn().context("cannot start the command")?;
        let mut watched: Vec<_> = self.processes().map(|process| (process, false)).collect();
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

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let guard = self.guard.as_mut().map(|guard| &mut guard.process);
        [&mut self.gateway.process, &mut self.double.process]
            .into_iter()
            .chain(guard)
    }

    fn end(self) -> Result<()> {
        self.gateway.process.end(PATIENCE)?;
        self.double.end(PATIENCE)?;
        self.guard.map_or(Ok(()), Guard::end)
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
