//! Somebody who may, and notices every time that it does not work.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::exchange::Talk;
use super::{Outcome, orders, print};

/// Asks by a new connection and by one that it keeps, by turns, until it is told `end`; prints how
/// often, and what went wrong, then and when told `count`. After a failure it makes a new one to
/// keep.
#[derive(Args)]
pub(super) struct Ask {
    target: SocketAddr,
    #[command(flatten)]
    talk: Talk,
}

impl Ask {
    pub(super) fn run(&self) -> Result<()> {
        let (sender, orders) = channel();
        std::thread::spawn(move || {
            // The end of orders is seen as the end of the channel.
            while let Ok(order) = orders::next() {
                if sender.send(order).is_err() {
                    break;
                }
            }
        });
        let mut tally = Tally::default();
        let mut kept = None;
        while tally.obey(&orders)? {
            tally.note("by a new connection", &self.by_a_new_one(&mut None));
            tally.note("by the kept connection", &self.by_the_kept_one(&mut kept));
            std::thread::sleep(PACE);
        }
        Ok(())
    }

    fn by_the_kept_one(&self, kept: &mut Option<Socket>) -> Outcome {
        let outcome = match kept {
            Some(socket) => self.talk.exchange(socket),
            None => self.by_a_new_one(kept),
        };
        if !outcome.reached() {
            *kept = None;
        }
        outcome
    }

    fn by_a_new_one(&self, kept: &mut Option<Socket>) -> Outcome {
        let connected = Socket::new(Domain::for_address(self.target), Type::STREAM, None)
            .and_then(|socket| self.talk.bound(&socket).map(|()| socket))
            .and_then(|socket| socket.connect(&self.target.into()).map(|()| socket));
        match connected {
            Ok(socket) => {
                let outcome = self.talk.exchange(&socket);
                *kept = Some(socket);
                outcome
            }
            Err(error) => Outcome::of(&error),
        }
    }
}

#[derive(Default)]
struct Tally {
    asked: u64,
    failed: u64,
    last: Option<String>,
}

impl Tally {
    /// False at the end.
    fn obey(&self, orders: &Receiver<String>) -> Result<bool> {
        match orders.try_recv().as_deref() {
            Err(TryRecvError::Empty) => Ok(true),
            Err(TryRecvError::Disconnected) => bail!("nobody gives orders any more"),
            Ok("count") => self.print().map(|()| true),
            Ok("end") => self.print().map(|()| false),
            Ok(other) => bail!("no such order: {other}"),
        }
    }

    fn note(&mut self, how: &str, outcome: &Outcome) {
        self.asked += 1;
        if !outcome.reached() {
            self.failed += 1;
            self.last = Some(format!("{how}: {outcome:?}"));
        }
    }

    fn print(&self) -> Result<()> {
        print(&json!({
            "event": "count",
            "asked": self.asked,
            "failed": self.failed,
            "last_failure": self.last,
        }))
    }
}

/// Between two questions: the server's reports of them are kept by the test.
const PACE: Duration = Duration::from_millis(2);
