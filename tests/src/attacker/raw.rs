//! A whole TCP conversation without a socket of TCP: what CAP_NET_RAW can do.
//!
//! The kernel knows nothing of it and resets what it gets in answer, unless the namespace drops
//! resets on their way out.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use super::Outcome;
use super::exchange::Talk;
use super::packet::{Segment, Shape};
use super::wire::{Link, Seen, Wire};

#[derive(Args)]
pub(super) struct Raw {
    target: SocketAddr,
    /// From where; any address and port
    #[arg(long, value_name = "ADDRESS")]
    source: SocketAddr,
    /// How every packet is wrapped
    #[arg(long, value_enum, default_value = "plain")]
    shape: Shape,
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
        let until = Instant::now() + self.talk.patience();
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
                let line = self.talk.line();
                let data = Segment {
                    sequence: FIRST.wrapping_add(1),
                    acknowledgment: seen.end(),
                    flags: Seen::ACK | Seen::PSH,
                    data: &line,
                    ..syn
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
