//! A whole TCP conversation without a socket of TCP: what CAP_NET_RAW can do.
//!
//! The kernel knows nothing of it and resets what it gets in answer, unless the namespace drops
//! resets on their way out.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::exchange::Talk;
use super::packet::{Segment, Shape};
use super::wire::{Link, Seen, Wire};
use super::{Outcome, orders, print};

#[derive(Args)]
pub(super) struct Raw {
    target: SocketAddr,
    /// From where; any address and port
    #[arg(long, value_name = "ADDRESS")]
    source: SocketAddr,
    /// How every packet is wrapped
    #[arg(long, value_enum, default_value = "plain")]
    shape: Shape,
    /// Stop halfway: print `answered` when the SYN is, wait for the order `on`, and acknowledge
    /// alone before anything is said
    #[arg(long)]
    halfway: bool,
    #[command(flatten)]
    link: Link,
    #[command(flatten)]
    talk: Talk,
}

impl Raw {
    pub(super) fn attempt(&self) -> Result<Outcome> {
        let wire = Wire::open(self.target)?.by(&self.link, self.target)?;
        let syn = Segment {
            from: self.source,
            to: self.target,
            sequence: FIRST,
            acknowledgment: 0,
            flags: Seen::SYN,
            data: b"",
        };
        wire.send(&syn, self.shape)?;
        let mut until = Instant::now() + self.talk.patience();
        let mut outcome = Outcome::Silent;
        let mut answer = Vec::new();
        while let Some(seen) = wire.next(until)? {
            if (seen.from, seen.to) != (self.target, self.source) {
                continue;
            }
            if seen.has(Seen::RST) {
                return Ok(match outcome {
                    Outcome::Silent => Outcome::Cut,
                    answered => answered,
                });
            }
            if seen.has(Seen::SYN | Seen::ACK) && outcome == Outcome::Silent {
                outcome = Outcome::Answered;
                let acknowledgment = Segment {
                    sequence: FIRST.wrapping_add(1),
                    acknowledgment: seen.end(),
                    flags: Seen::ACK,
                    ..syn
                };
                if self.halfway {
                    print(&json!({"event": "answered"}))?;
                    match orders::next()?.as_str() {
                        "on" => until = Instant::now() + self.talk.patience(),
                        other => bail!("no such order: {other}"),
                    }
                    wire.send(&acknowledgment, self.shape)?;
                }
                let line = self.talk.line();
                let data = Segment {
                    flags: Seen::ACK | Seen::PSH,
                    data: &line,
                    ..acknowledgment
                };
                wire.send(&data, self.shape)?;
            }
            // On lo each packet is seen twice: where it leaves and where it arrives.
            answer.extend(seen.data);
            if let Some(end) = answer.iter().position(|&byte| byte == b'\n') {
                let line = answer.get(..end).unwrap_or_default();
                return Ok(Outcome::Connected {
                    answer: String::from_utf8_lossy(line).into_owned(),
                });
            }
        }
        Ok(outcome)
    }
}

/// The initial sequence number.
const FIRST: u32 = 0x1000_0000;
