//! Forging a segment of a connection between two others: what CAP_NET_RAW can do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::packet::{Segment, Shape};
use super::wire::{Seen, Wire};
use super::{Outcome, print};
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
        let last = wire.watch(self.target)?;
        print(&self.forge(&wire, &last)?)
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
