//! Many connections at once, and their ends.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::exchange::Talk;
use super::{orders, print};

/// Opens them all, each with a line there and back; prints how many are open, after each thousand and
/// when all are; ends them all when told to, and prints that.
#[derive(Args)]
pub(super) struct Flood {
    target: SocketAddr,
    /// How many
    #[arg(long, default_value = "1000")]
    count: usize,
    /// How this side ends them
    #[arg(long, value_enum, default_value = "fin")]
    ending: HowToEnd,
    #[command(flatten)]
    talk: Talk,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HowToEnd {
    /// Close, as usual
    Fin,
    /// Reset
    Rst,
    /// Wait for the server to do so: the line makes it
    Wait,
}

impl Flood {
    pub(super) fn run(&self) -> Result<()> {
        raise_limit(self.count)?;
        let mut open = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
            self.talk.bound(&socket)?;
            socket.connect(&self.target.into())?;
            if self.ending != HowToEnd::Wait {
                let outcome = self.talk.exchange(&socket);
                if !outcome.reached() {
                    bail!("after {} connections: {outcome:?}", open.len());
                }
            }
            open.push(socket);
            if open.len().is_multiple_of(1000) {
                print(&json!({"event": "opening", "count": open.len()}))?;
            }
        }
        print(&json!({"event": "open", "count": open.len()}))?;
        orders::next()?;
        let mut answered = 0;
        for socket in &open {
            match self.ending {
                HowToEnd::Fin => {}
                HowToEnd::Rst => socket.set_linger(Some(Duration::ZERO))?,
                HowToEnd::Wait => answered += usize::from(self.talk.exchange(socket).reached()),
            }
        }
        drop(open);
        print(&json!({"event": "closed", "answered": answered}))?;
        // Stays, so that what it leaves behind is not the work of its end.
        orders::next()?;
        Ok(())
    }
}

/// Lets this process have so many sockets, and a few files more.
pub(super) fn raise_limit(sockets: usize) -> Result<()> {
    let files = Some(u64::try_from(sockets)? + 100);
    let limit = Rlimit {
        current: files,
        maximum: files,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}
