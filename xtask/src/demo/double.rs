//! The back-ends: one program that plays Connect and a DeployR-like server.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::config::Ports;
use super::files::Files;
use super::process::{Output, Process};
use super::stop::Stop;
use super::{PATIENCE, POLL};
use crate::launch;
use crate::workspace::Workspace;

/// The running double.
pub(super) struct Double {
    pub(super) process: Process,
    pub(super) addresses: Addresses,
    /// The double ends when this is closed.
    stdin: ChildStdin,
}

/// Where the double listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Connect, plain HTTP.
    pub(super) connect: SocketAddr,
    /// The DeployR-like server, mutual TLS.
    pub(super) deployr: SocketAddr,
    /// What it received.
    pub(super) inspect: SocketAddr,
}

impl Double {
    /// Starts it, and waits until it listens.
    pub(super) fn start(
        workspace: &Workspace,
        files: &Files,
        ports: Ports,
        cgroup: Option<&Path>,
        stop: &Stop,
    ) -> Result<Self> {
        let mut command = launch::tied_in(workspace.release("connect-double"), cgroup)
            .context("cannot find this program's own file")?;
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        command
            .args(["--connect", &address(ports.connect_back_end)])
            .args(["--deployr", &address(ports.deployr_back_end)])
            .args(["--inspect", &address(0)])
            .arg("--tls-cert")
            .arg(files.path("tls/backend.pem"))
            .arg("--tls-key")
            .arg(files.path("tls/backend-key.pem"))
            .arg("--client-ca")
            .arg(files.path("tls/ca.pem"))
            .arg("--exit-with-stdin")
            .stdin(Stdio::piped());
        let log = files.path("double.log");
        let mut process = Process::start("connect-double", command, log, Output::Pipe)?;
        let stdin = process.child().stdin.take().context("no standard input")?;
        let line = first_line(&mut process, stop)?;
        let addresses = Addresses::parse(&line)
            .with_context(|| format!("connect-double said {:?}", line.trim_end()))?;
        Ok(Self {
            process,
            addresses,
            stdin,
        })
    }

    pub(super) fn end(self, patience: Duration) -> Result<()> {
        let Self {
            mut process, stdin, ..
        } = self;
        drop(stdin);
        process.wait(patience)
    }
}

impl Addresses {
    fn parse(line: &str) -> Result<Self> {
        let facts: Value = serde_json::from_str(line).context("expected one line of JSON")?;
        let address = |key: &str| {
            facts
                .get(key)
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok())
                .with_context(|| format!("expected an address as {key:?}"))
        };
        Ok(Self {
            connect: address("connect")?,
            deployr: address("deployr")?,
            inspect: address("inspect")?,
        })
    }
}

/// The first line that the double prints. The rest of its output is read and dropped, so that it
/// never blocks.
fn first_line(process: &mut Process, stop: &Stop) -> Result<String> {
    let stdout = process
        .child()
        .stdout
        .take()
        .context("no standard output")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more after the first.
            let _ = sender.send(line);
        }
    });
    let begun = Instant::now();
    loop {
        stop.check()?;
        match receiver.recv_timeout(POLL) {
            Ok(line) => return Ok(line),
            Err(RecvTimeoutError::Disconnected) => {
                process.wait(PATIENCE)?;
                process.expect_running()?;
            }
            Err(RecvTimeoutError::Timeout) if begun.elapsed() > START => {
                return Err(process.fault("did not say where it listens"));
            }
            Err(RecvTimeoutError::Timeout) => (),
        }
    }
}

const START: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_double_says_where_it_listens() {
        let line = r#"{"connect":"127.0.0.1:1","deployr":"127.0.0.1:2","inspect":"127.0.0.1:3"}"#;
        let addresses = Addresses::parse(line).unwrap();
        assert_eq!(addresses.connect.port(), 1);
        assert_eq!(addresses.deployr.port(), 2);
        assert_eq!(addresses.inspect.port(), 3);
        for bad in [
            "",
            "{}",
            r#"{"connect":"127.0.0.1:1","deployr":2,"inspect":"x"}"#,
        ] {
            assert!(Addresses::parse(bad).is_err(), "{bad}");
        }
    }
}
