//! Rules of nftables that would do a part of the guard's work, for comparison.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::place::Cgroups;
use crate::traffic::PROTECTED;

/// By what outsiders are told from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The sending socket's cgroup.
    Cgroup,
    /// The same, for the first packet of a connection only.
    Conntrack,
    /// The sending socket's user.
    User,
}

/// Rules in force in this namespace. Dropped, they are removed.
pub(crate) struct Table;

impl Table {
    /// Sets rules.
    pub(crate) fn set(by: Match, cgroups: &Cgroups) -> Result<Self> {
        let rules = rules(by, cgroups)?;
        nft(&["-f", "-"], &rules)?;
        Ok(Self)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Err(error) = nft(&["delete", "table", "inet", "bench"], "") {
            eprintln!("guard-cost: {error:#}");
        }
    }
}

fn rules(by: Match, cgroups: &Cgroups) -> Result<String> {
    let port = PROTECTED.port();
    let judge = match by {
        // Everything here is root's, so that all of it passes.
        Match::User => format!("tcp dport {port} meta skuid != 0 reject with tcp reset"),
        Match::Cgroup | Match::Conntrack => {
            let (path, level) = cgroups.for_nft()?;
            format!(
                "tcp dport {port} socket cgroupv2 level {level} \"{path}\" accept\n\
                 tcp dport {port} reject with tcp reset"
            )
        }
    };
    let known = match by {
        Match::Conntrack => "ct state established,related accept",
        Match::Cgroup | Match::User => "",
    };
    Ok(format!(
        "table inet bench {{\n chain output {{\n\
         type filter hook output priority filter; policy accept;\n{known}\n{judge}\n}}\n}}\n"
    ))
}

fn nft(arguments: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start nft (Debian package nftables)")?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(input.as_bytes()).context("nft")?;
    drop(stdin);
    let output = child.wait_with_output().context("nft")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("nft: {}", said.lines().next().unwrap_or("failed"));
    }
    Ok(())
}
