//! The guard of the demo: with it, the kernel keeps everybody but the gateway from the back-ends.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cgroups::{Cgroups, Member};
use super::config::{self, Ports};
use super::files::{Files, remove};
use super::process::{Output, Process};
use super::stop::Stop;
use super::{PATIENCE, POLL};
use crate::launch;
use crate::workspace::Workspace;

/// The running guard. Nothing of it is pinned: it ends with its process.
pub(super) struct Guard {
    pub(super) process: Process,
    /// Removed last, when nothing runs in them any more.
    pub(super) cgroups: Cgroups,
}

impl Guard {
    /// Writes the configuration of guard and gateway, and starts the guard before anything listens.
    /// Where that is not possible one line says why, and the demo goes on without it.
    pub(super) fn start(
        workspace: &Workspace,
        files: &Files,
        ports: Ports,
        stop: &Stop,
    ) -> Result<Option<Self>> {
        let why = match Self::try_start(workspace, files, ports, stop)? {
            Ok(guard) => return Ok(Some(guard)),
            Err(why) => why,
        };
        eprintln!("demo: without the guard, so anybody here can reach the back-ends: {why}");
        write_config(files, ports, None)?;
        Ok(None)
    }

    /// The guard, or why there can be none here.
    fn try_start(
        workspace: &Workspace,
        files: &Files,
        ports: Ports,
        stop: &Stop,
    ) -> Result<Result<Self, String>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Err("it needs root".to_owned()));
        }
        let cgroups = match Cgroups::make() {
            Ok(cgroups) => cgroups,
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        write_config(files, ports, Some(&cgroups))?;
        let ready = files.path("guard.json");
        remove(&ready)?;
        let own = cgroups.member(Member::Guard);
        let mut command = launch::tied_in(workspace.release("connect-gateway"), Some(&own))
            .context("cannot find this program's own file")?;
        command
            .args(["guard", "run", "--unpinned", "--config"])
            .arg(files.config())
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null());
        let process = Process::start("guard", command, files.path("guard.log"), Output::Log)?;
        let mut guard = Self { process, cgroups };
        let started = guard.wait_until_enforcing(&ready, stop)?;
        Ok(started.map(|()| guard))
    }

    /// The directory of a part's cgroup.
    pub(super) fn cgroup(&self, member: Member) -> PathBuf {
        self.cgroups.member(member)
    }

    /// Does what the demo says is refused: a direct connection to each back-end.
    pub(super) fn prove(&self, ports: Ports) -> Result<()> {
        for port in ports.back_ends() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match TcpStream::connect_timeout(&address, ANSWER) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => (),
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("expected that {address} is not permitted"));
                }
                Ok(_) => bail!("the guard lets everybody connect to {address}"),
            }
        }
        Ok(())
    }

    /// Ends it, when all that it guards has ended.
    pub(super) fn end(self) -> Result<()> {
        self.process.end(PATIENCE)?;
        self.cgroups.remove()
    }

    /// Waits until it refuses, or has said what it misses here.
    fn wait_until_enforcing(&mut self, ready: &Path, stop: &Stop) -> Result<Result<(), String>> {
        let begun = Instant::now();
        while !ready.exists() {
            stop.check()?;
            if self.process.ended()?.and_then(|status| status.code()) == Some(ENVIRONMENT) {
                return Ok(Err(self.process.said().replace('\n', "; ")));
            }
            self.process.expect_running()?;
            if begun.elapsed() > START {
                return Err(self.process.fault("did not become ready"));
            }
            sleep(POLL);
        }
        let text = fs::read(ready).with_context(|| format!("cannot read {}", ready.display()))?;
        let said: Value = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not JSON", ready.display()))?;
        match said.get("state").and_then(Value::as_str) {
            Some("enforcing") => Ok(Ok(())),
            state => Err(self.process.fault(&format!("is not enforcing: {state:?}"))),
        }
    }
}

fn write_config(files: &Files, ports: Ports, cgroups: Option<&Cgroups>) -> Result<()> {
    let path = files.config();
    fs::write(&path, config::render(ports, cgroups))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Its exit status where the host or its rights are not as it needs them.
const ENVIRONMENT: i32 = 2;
const ANSWER: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(30);
