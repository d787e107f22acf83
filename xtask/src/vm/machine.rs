//! One virtual machine: it boots, says something on its second serial port, and ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use super::tree::Tree;
use super::{guest, host};
use crate::launch;

/// How a processor is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accelerator {
    /// By the host's processor.
    Kvm,
    /// In software: slower, and available everywhere.
    Tcg,
}

impl Accelerator {
    fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

/// A kernel, and how it runs here.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) kernel: Kernel,
    accelerator: Accelerator,
    scratch: PathBuf,
}

impl Rig {
    /// Takes KVM if a machine boots with it: where xtask runs in a machine itself, `/dev/kvm` may be
    /// there and not work.
    pub(super) fn new(kernel: Kernel, scratch: &Path) -> Result<Self> {
        let mut rig = Self {
            scratch: scratch.join(&kernel.release),
            kernel,
            accelerator: Accelerator::Tcg,
        };
        let device = File::options().read(true).write(true).open("/dev/kvm");
        if device.is_ok() {
            rig.accelerator = Accelerator::Kvm;
            if let Err(error) = rig.probe() {
                let error = error.to_string();
                let first = error.lines().next().unwrap_or_default();
                eprintln!("vm: KVM does not work here ({first}): emulating, which is slower");
                rig.accelerator = Accelerator::Tcg;
            }
        }
        Ok(rig)
    }

    /// How many times longer than on hardware something may take in the machine.
    pub(super) fn slowness(&self) -> u32 {
        match self.accelerator {
            Accelerator::Kvm => 1,
            Accelerator::Tcg => 4,
        }
    }

    /// An empty directory for one use.
    pub(super) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let directory = self.scratch.join(name);
        host::empty_directory(&directory)?;
        Ok(directory)
    }

    fn probe(&self) -> Result<()> {
        let directory = self.scratch("probe")?;
        let initramfs =
            Tree::new(directory.join("root"), guest::PROBE)?.pack(&directory.join("initramfs"))?;
        let machine = Machine {
            rig: self,
            initramfs: &initramfs,
            disk: None,
            console: &directory.join("console"),
            silence: Duration::from_secs(10),
        };
        let mut said = false;
        machine.run(|line| said |= line == guest::PROBE_SAYS)?;
        if !said {
            bail!("the machine ended before it said anything");
        }
        Ok(())
    }
}

/// What to boot.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) rig: &'a Rig,
    pub(super) initramfs: &'a Path,
    /// A raw image, which the machine writes to: its `/dev/vda`.
    pub(super) disk: Option<&'a Path>,
    /// Where the kernel's messages go.
    pub(super) console: &'a Path,
    /// How long it may say nothing before it counts as hung.
    pub(super) silence: Duration,
}

impl Machine<'_> {
    /// Runs it to its end, and hands on what it writes to `/dev/ttyS1`, line by line.
    ///
    /// # Errors
    ///
    /// It was silent for too long, or QEMU failed. That it ended well says nothing about what it
    /// did: a kernel that panics ends so too.
    pub(super) fn run(&self, mut on_line: impl FnMut(&str)) -> Result<()> {
        // A pipe that is full would hold the machine: what it says is always read.
        let mut qemu = Running(self.command()?.spawn().context("cannot start QEMU")?);
        let said = lines(qemu.0.stdout.take().context("no standard output")?);
        let complaint = lines(qemu.0.stderr.take().context("no standard error")?);
        loop {
            match said.recv_timeout(self.silence) {
                Ok(line) => on_line(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!(
                    "nothing was heard for {:?}; the console ended with\n{}",
                    self.silence,
                    self.console_end()
                ),
            }
        }
        let status = qemu.0.wait().context("cannot wait for QEMU")?;
        if !status.success() {
            let complaint: Vec<String> = complaint.iter().collect();
            bail!("QEMU: {status}: {}", complaint.join("\n"));
        }
        Ok(())
    }

    /// The last lines of the kernel's messages.
    pub(super) fn console_end(&self) -> String {
        let text = match fs::read(self.console) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("{}: {error}", self.console.display()),
        };
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(CONSOLE_LINES)..);
        end.unwrap_or_default().join("\n")
    }

    fn command(&self) -> Result<Command> {
        let mut qemu = launch::tied("qemu-system-x86_64").context("cannot find xtask itself")?;
        qemu.args(self.rig.accelerator.arguments())
            .args(["-smp", "2", "-m", MEMORY])
            .args(["-nic", "none", "-display", "none", "-no-reboot"])
            .arg("-serial")
            .arg(format!("file:{}", self.console.display()))
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.rig.kernel.image)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", COMMAND_LINE]);
        if let Some(disk) = self.disk {
            qemu.arg("-drive")
                .arg(format!("file={},if=virtio,format=raw", disk.display()));
        }
        qemu.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(qemu)
    }
}

/// Dropped, it is killed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is all that is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads on a thread of its own, so that a silence can be noticed.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line);
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// For a root file system in memory with a few test binaries.
const MEMORY: &str = "2048";
/// A panic ends the machine at once. One hierarchy of cgroups, as systemd has it today.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 cgroup_no_v1=all quiet";
const CONSOLE_LINES: usize = 40;
