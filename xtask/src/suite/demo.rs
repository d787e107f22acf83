//! The demo, run as a visitor of the repository runs it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::command::cargo;
use crate::workspace::Workspace;

/// Runs a demo that is killed, and one with a script that checks what the demo says of itself;
/// then checks that its status came through. Both leave nothing behind: no process, and no port
/// that others may not use. As root the demo must be guarded.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let killed = run(workspace, KILL, KILL)?;
    // Of xtask, or as cargo passes it on.
    let kill = Signal::KILL.as_raw();
    if killed.status.signal() != Some(kill) && killed.status.code() != Some(kill + 128) {
        bail!("expected that the demo was killed: {}", killed.status);
    }
    let facts = Facts::read(workspace)?;
    wait_for("the gateway of a killed demo ends", || {
        !is_running(&facts.gateway)
    })?;
    wait_for("a killed demo's guard ends", || is_open(facts.connect))?;
    let left = facts.cgroup;

    let output = run(workspace, SCRIPT, "$(cat xtask/src/suite/demo.sh)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    if output.status.code() != Some(STATUS) {
        bail!("expected the command's status, {STATUS}: {}", output.status);
    }
    let facts = Facts::read(workspace)?;
    let orphan = said
        .lines()
        .find_map(|line| line.strip_prefix("left behind: "))
        .context("the script did not come to its end")?;
    for pid in [&*facts.gateway, orphan] {
        ensure!(!is_running(pid), "process {pid} is left running");
    }
    ensure!(is_open(facts.connect), "the guard is left behind");
    for cgroup in left.iter().chain(&facts.cgroup) {
        ensure!(!Path::new(cgroup).exists(), "{cgroup} is left behind");
    }
    let guarded = said.lines().any(|line| line == "guarded");
    ensure!(
        guarded || !rustix::process::geteuid().is_root(),
        "root's demo must be guarded"
    );
    Ok(())
}

/// Runs a script in the demo; shows it as `shown`.
fn run(workspace: &Workspace, script: &str, shown: &str) -> Result<Output> {
    let mut demo: Command = cargo(workspace);
    demo.args(["run", "--quiet", "--locked", "--package=xtask", "--"])
        .args(["demo", "--", "sh", "-eu", "-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    eprintln!("  $ cargo xtask demo -- sh -eu -c \"{shown}\"");
    demo.output().context("cannot start the demo")
}

/// What the demo said of itself.
struct Facts {
    /// The gateway's process id.
    gateway: String,
    /// Where Connect listened.
    connect: SocketAddr,
    /// The directory of its cgroups, if it was guarded.
    cgroup: Option<String>,
}

impl Facts {
    fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.demo().join("demo.json");
        let text = fs::read_to_string(&path).context("the demo wrote no demo.json")?;
        let facts: Value = serde_json::from_str(&text).context("demo.json is not JSON")?;
        let text = |key| facts.get(key).and_then(Value::as_str);
        let gateway = facts.get("gateway_pid").and_then(Value::as_u64);
        Ok(Self {
            gateway: gateway
                .context("demo.json names no gateway_pid")?
                .to_string(),
            connect: text("connect_url")
                .and_then(|url| url.strip_prefix("http://"))
                .and_then(|address| address.parse().ok())
                .context("demo.json names no connect_url")?,
            cgroup: text("cgroup").map(str::to_owned),
        })
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            bail!("waited for {PATIENCE:?} in vain: {what}");
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn is_running(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Whether anybody may listen on a port, connect to it, and get bytes through: none of the guard's
/// programs is attached any more.
fn is_open(address: SocketAddr) -> bool {
    let exchange = || -> std::io::Result<u8> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, address.port()))?;
        let mut client = TcpStream::connect_timeout(&address, ANSWER)?;
        let (mut server, _) = listener.accept()?;
        server.set_read_timeout(Some(ANSWER))?;
        client.write_all(b"!")?;
        let mut byte = [0];
        server.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    exchange().is_ok()
}

/// Kills the demo that it runs in.
const KILL: &str = "kill -KILL $PPID; exec sleep 600";
const SCRIPT: &str = include_str!("demo.sh");
/// What the script exits with.
const STATUS: i32 = 7;
const ANSWER: Duration = Duration::from_secs(1);
/// Longer than the demo's drain.
const PATIENCE: Duration = Duration::from_secs(10);
