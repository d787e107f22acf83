//! A cable between the subjects and their clients: a veth pair, whose far end lies in a network
//! namespace that has nothing else. It carries 1500 bytes at once, where loopback carries 64 KiB.
//!
//! The subjects and the back-end stay where they are, so that for them nothing but the address of the
//! clients is other than on loopback. As there, the core that sends a packet brings it to the
//! receiver's socket, so that the same is accounted to the same process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::process::{self, Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What is between the subjects and their clients.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Network {
    /// This host's loopback.
    #[default]
    Loopback,
    /// A [`Cable`].
    Veth,
}

/// One that is laid. It lasts as long as this value and the commands that were started on it: nothing
/// else holds the namespace, so that the kernel removes both when this process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Cable(File);

impl Network {
    /// The subjects' address.
    pub(crate) const fn address(self) -> IpAddr {
        IpAddr::V4(match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::Veth => SUBJECT,
        })
    }
}

impl Cable {
    /// Lays one.
    ///
    /// # Errors
    ///
    /// If this process may not make a network namespace, which only root may.
    pub(crate) fn lay() -> Result<Self> {
        let mut holder = hold_namespace()?;
        let own = format!("bench-{}", process::id());
        let laid = connect(&holder, &own);
        drop(holder.stdin.take());
        holder.wait().context("cannot wait for unshare")?;
        laid
    }

    /// The command among the clients, which ends (SIGTERM) when this process does: what still waits for
    /// answers would keep the cable for a minute.
    pub(crate) fn enter(&self, command: &Command) -> Command {
        let namespace = format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd());
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--net={namespace}"))
            .args(["--", "setpriv", "--pdeathsig", "TERM", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        inside
    }
}

/// A process in a network namespace of its own, until its standard input ends.
fn hold_namespace() -> Result<Child> {
    let mut holder = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", "echo; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start unshare (Debian package util-linux)")?;
    let stdout = holder.stdout.take().context("no standard output")?;
    // The line comes when the namespace is there.
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    if read.context("cannot read from unshare")? == 0 {
        let said = holder.wait_with_output().context("cannot wait")?.stderr;
        bail!(
            "no network namespace for clients over veth, which only root can make: {}",
            String::from_utf8_lossy(&said).trim()
        );
    }
    Ok(holder)
}

/// A cable between this host and the holder's namespace.
fn connect(holder: &Child, own: &str) -> Result<Cable> {
    let holder = holder.id().to_string();
    let namespace = File::open(format!("/proc/{holder}/ns/net"));
    let cable = Cable(namespace.context("cannot open the clients' namespace")?);
    let mut pair = ip(&["link", "add", "dev", own, "mtu", MTU, "type", "veth"]);
    pair.args(["peer", "name", CLIENTS_END, "mtu", MTU, "netns", &holder]);
    run(pair)?;
    for command in attach(own, SUBJECT) {
        run(command)?;
    }
    for command in attach(CLIENTS_END, CLIENTS) {
        run(cable.enter(&command))?;
    }
    Ok(cable)
}

/// What gives an end its address, and opens it.
fn attach(end: &str, address: Ipv4Addr) -> [Command; 2] {
    let address = format!("{address}/{PREFIX}");
    [
        ip(&["address", "add", &address, "dev", end]),
        ip(&["link", "set", "dev", end, "up"]),
    ]
}

fn ip(arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(arguments);
    command
}

fn run(mut command: Command) -> Result<()> {
    let output = command
        .output()
        .context("cannot start ip (Debian package iproute2)")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("no cable over veth: {command:?}: {}", said.trim());
    }
    Ok(())
}

/// The addresses are of the network that is set aside for benchmarks (RFC 2544, appendix C.2.2).
const SUBJECT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const CLIENTS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// In bits.
const PREFIX: u8 = 30;
/// Ethernet's, in bytes.
const MTU: &str = "1500";
const CLIENTS_END: &str = "clients";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;

    /// Whatever clients do goes over the cable, and nowhere else; and it goes when they have gone.
    #[test]
    fn clients_come_over_the_cable_and_it_goes_with_them() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can make namespaces");
            return;
        }
        let end = PathBuf::from(format!("/sys/class/net/bench-{}", process::id()));
        let read = |name: &str| {
            let text = fs::read_to_string(end.join(name)).unwrap();
            text.trim().parse::<u64>().unwrap()
        };
        let cable = Cable::lay().unwrap();
        assert_eq!(read("mtu"), 1500);
        let listener = TcpListener::bind((Network::Veth.address(), 0)).unwrap();
        let before = read("statistics/rx_bytes");
        let port = listener.local_addr().unwrap().port();
        let mut client = cable
            .enter(Command::new("bash").args([
                "-c",
                &format!(
                    "exec >/dev/tcp/{}/{port}; head -c {SENT} /dev/zero; \
                     ! (: >/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo alone",
                    Network::Veth.address()
                ),
            ]))
            .spawn()
            .unwrap();
        let (mut stream, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), CLIENTS);
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(client.wait().unwrap().success());
        assert_eq!(received.len(), SENT + "alone\n".len());
        assert!(read("statistics/rx_bytes") - before > SENT as u64);
        drop(stream);
        drop(cable);
        let begun = Instant::now();
        while end.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "still there");
            sleep(Duration::from_millis(10));
        }
    }

    const SENT: usize = 100_000;
}
