//! Forging a segment of a connection between two others: what CAP_NET_RAW can do.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;

use super::packet::{Segment, Shape};
use super::wire::{Seen, Wire};
use super::{Outcome, orders, print};
use crate::harness::poll::stretched;

/// Prints `listening`, watches the connections to the target, and when told to sends the text in
/// the name of the client of the last one that it saw.
#[derive(Args)]
pub(super) struct Inject {
    target: SocketAddr,
    /// What to send
    #[arg(long)]
    say: String,
    /// How long to wait for what comes back, in milliseconds on hardware
    #[arg(long, value_name = "MS", default_value = "700")]
    patience: u64,
}

impl Inject {
    pub(super) fn run(&self) -> Result<()> {
        let wire = Wire::open(self.target)?;
        print(&json!({"event": "listening"}))?;
        let mut last = None;
        loop {
            let stdin = std::io::stdin();
            let mut ready = [
                PollFd::new(wire.sniffer(), PollFlags::IN),
                PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            ];
            poll(&mut ready, None)?;
            let [of_wire, of_stdin] = ready.map(|one| !one.revents().is_empty());
            if of_wire {
                let seen = wire.next(Instant::now() + Duration::from_millis(10))?;
                // The client's newest segment says what comes next in both directions.
                last = seen.filter(|seen| seen.to == self.target).or(last);
            } else if of_stdin {
                orders::next()?;
                let last = last.context("no connection was seen")?;
                return print(&self.forge(&wire, &last)?);
            }
        }
    }

    fn forge(&self, wire: &Wire, last: &Seen) -> Result<Outcome> {
        let forged = Segment {
            from: last.from,
            to: last.to,
            sequence: last.end(),
            acknowledgment: last.acknowledgment,
            flags: Seen::ACK | Seen::PSH,
            data: self.say.as_bytes(),
        };
        wire.send(&forged, Shape::Plain)?;
        let until = Instant::now() + stretched(Duration::from_millis(self.patience));
        while let Some(seen) = wire.next(until)? {
            if (seen.from, seen.to) == (last.to, last.from) && !seen.data.is_empty() {
                let text = String::from_utf8_lossy(&seen.data).into_owned();
                return Ok(Outcome::Connected { answer: text });
            }
        }
        Ok(Outcome::Silent)
    }
}
