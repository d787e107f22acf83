//! A child that the demo keeps: its log, its end.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::POLL;

/// A running child. Dropped, it is killed.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a command whose standard error, and standard output unless it is piped, go to `log`.
    ///
    /// It gets a process group of its own, so that Ctrl-C reaches only xtask, which ends the
    /// children in order.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        log: PathBuf,
        stdout: Output,
    ) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.process_group(0);
        command.stdout(match stdout {
            Output::Log => Stdio::from(file.try_clone().context("cannot share a log file")?),
            Output::Pipe => Stdio::piped(),
        });
        command.stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            log,
            status: None,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its status, once it has ended.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .with_context(|| format!("cannot wait for {}", self.name))?;
        }
        Ok(self.status)
    }

    /// An error, with the end of its log, if it has ended.
    pub(super) fn expect_running(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(self.fault(&format!("has ended: {status}"))),
        }
    }

    /// An error that shows the end of its log.
    pub(super) fn fault(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{} {what}\n{}:\n{}",
            self.name,
            self.log.display(),
            tail(&self.log)
        )
    }

    /// The end of its log.
    pub(super) fn said(&self) -> String {
        tail(&self.log)
    }

    /// Asks it to end, waits, and kills it if it takes too long, which is an error.
    pub(super) fn end(mut self, patience: Duration) -> Result<()> {
        if self.ended()?.is_none() {
            signal(self.id(), Signal::TERM)?;
        }
        self.wait(patience)
    }

    /// Waits until it has ended, and kills it if it takes too long, which is an error.
    pub(super) fn wait(&mut self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        while self.ended()?.is_none() {
            if begun.elapsed() > patience {
                return Err(self.fault(&format!("did not end within {patience:?}")));
            }
            sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            // It may end by itself in between; nothing is left to report then.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where a child's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// To its log.
    Log,
    /// To xtask.
    Pipe,
}

/// Sends a signal to a child that has not been waited for.
pub(super) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        bail!("{pid} is no process id");
    };
    kill_process(process, signal).with_context(|| format!("cannot signal process {pid}"))
}

fn tail(log: &Path) -> String {
    let text = match fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("cannot be read: {error}"),
    };
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(TAIL_LINES);
    lines.get(start..).unwrap_or_default().join("\n")
}

const TAIL_LINES: usize = 20;
