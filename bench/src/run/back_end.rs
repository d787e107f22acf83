//! The back-end of a run.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::place::Place;
use crate::subject::Link;

/// One that listens. Dropped, it is ended.
pub(super) struct BackEnd {
    child: Child,
    addresses: Addresses,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Addresses {
    plain: SocketAddr,
    mutual: SocketAddr,
}

impl BackEnd {
    /// Starts it on the core of this process.
    pub(super) fn start(place: &Place, programs: &Path) -> Result<Self> {
        let mut child = Command::new(programs.join("bench-back-end"))
            .arg(place.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bench-back-end")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("cannot read from bench-back-end")?;
        let addresses = serde_json::from_str(&line);
        let addresses = addresses.with_context(|| format!("bench-back-end said {line:?}"))?;
        Ok(Self { child, addresses })
    }

    /// Where it listens.
    pub(super) fn address(&self, link: Link) -> SocketAddr {
        match link {
            Link::Mutual => self.addresses.mutual,
            Link::Plain => self.addresses.plain,
        }
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("bench: cannot wait for bench-back-end: {error}");
        }
    }
}
