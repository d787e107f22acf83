//! Our own generator.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::order::{Order, Outcome, READY};

/// One that is set up. Dropped, it is ended, and its connections with it.
pub(crate) struct Job {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Job {
    /// Starts it, tells it the order, and waits until it is ready.
    pub(super) fn start(mut command: Command, order: &Order) -> Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.context("cannot start bench-load")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut job = Self {
            child,
            stdout: BufReader::new(stdout),
        };
        job.tell(&serde_json::to_string(order)?)?;
        let line = job.line()?;
        ensure!(line == READY, "bench-load said {line:?}");
        Ok(job)
    }

    /// Has it do its work.
    pub(super) fn go(&mut self) -> Result<Outcome> {
        self.tell("go")?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("bench-load said {line:?}"))
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("no standard input")?;
        writeln!(stdin, "{line}").context("bench-load has gone")
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            // What was wrong it has said on standard error, which is ours.
            Ok(0) => bail!("the generator of load failed"),
            done => done.context("cannot read from bench-load")?,
        };
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("bench: cannot wait for bench-load: {error}");
        }
    }
}
