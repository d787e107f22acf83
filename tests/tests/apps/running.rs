//! An application as a process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gateway_tests::harness::{Dir, poll, python, workspace};
use rustix::process::{Pid, Signal, kill_process};

/// An application that listens on loopback, in a directory of its own; ended when dropped.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    dir: Dir,
}

impl Running {
    /// Starts a command that will listen there, and waits until it has an answer for that path.
    pub(crate) fn start(command: &mut Command, address: SocketAddr, path: &str) -> Self {
        let dir = Dir::new();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = command
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the application starts");
        let mut running = Self {
            address,
            child,
            dir,
        };
        let started = Instant::now();
        while !running.answers(path) {
            let ended = running.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < poll::stretched(START),
                "{command:?} does not serve ({ended:?}): {}",
                running.dir.read("log")
            );
            sleep(STEP);
        }
        running
    }

    /// Whether it has a good answer. JupyterHub's proxy listens before the hub does.
    fn answers(&self, path: &str) -> bool {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        let ask = || -> std::io::Result<[u8; 10]> {
            let mut tcp = TcpStream::connect(self.address)?;
            tcp.set_read_timeout(Some(poll::patience()))?;
            tcp.write_all(head.as_bytes())?;
            let mut status = [0; "HTTP/1.1 2".len()];
            tcp.read_exact(&mut status)?;
            Ok(status)
        };
        ask().is_ok_and(|status| matches!(status[9], b'2' | b'3'))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: JupyterHub then ends what it has started.
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let started = Instant::now();
        while asked.is_ok() && started.elapsed() < poll::patience() {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            sleep(STEP);
        }
        // What has ended meanwhile cannot be killed, and need not be.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Python with the applications, which runs a module.
pub(crate) fn module(name: &str) -> Command {
    let mut command = Command::new(python());
    // No `__pycache__` beside the scripts.
    command.args(["-B", "-m", name]);
    command
}

/// A file of `tests/apps`.
pub(crate) fn script(name: &str) -> PathBuf {
    workspace().join("tests/apps").join(name)
}

/// Some take ten seconds on a machine that does other things as well.
const START: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(20);
