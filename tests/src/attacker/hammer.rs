//! As many attempts as this machine can make.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::{orders, print};
use crate::harness::poll::stretched;

/// Connects without a pause and without waiting, until it is told `end` or has tried often enough;
/// prints what came of it all then, and when told `count`.
#[derive(Args)]
pub(super) struct Hammer {
    /// Where, by turns
    #[arg(required = true)]
    targets: Vec<SocketAddr>,
    /// From these addresses: the one of the target's family
    #[arg(long, value_name = "ADDRESS")]
    source: Vec<IpAddr>,
    /// How often at most
    #[arg(long)]
    limit: Option<u64>,
    /// How long one that is given up is waited for, in milliseconds on hardware
    #[arg(long, value_name = "MS", default_value = "0")]
    patience: u64,
}

#[derive(Default)]
struct Counts {
    attempts: AtomicU64,
    /// The kernel refused the call.
    forbidden: AtomicU64,
    /// Nobody listened, or the service reset it.
    reset: AtomicU64,
    /// Nothing had come when it was given up.
    silent: AtomicU64,
    /// Established.
    reached: AtomicU64,
}

impl Hammer {
    pub(super) fn run(self) -> Result<()> {
        let counts = Arc::new(Counts::default());
        let mut attempts = Attempts::new(&counts, stretched(Duration::from_millis(self.patience)))?;
        let obeying = std::thread::spawn({
            let counts = counts.clone();
            move || counts.obey()
        });
        for target in self.targets.iter().cycle() {
            let done = counts.attempts.load(Ordering::Relaxed);
            if obeying.is_finished() || self.limit == Some(done) {
                break;
            }
            attempts.make(*target, self.source_for(*target))?;
        }
        attempts.judge_down_to(0)?;
        counts.print()?;
        if obeying.is_finished() {
            obeying
                .join()
                .ok()
                .context("the obeying thread panicked")??;
        }
        Ok(())
    }

    fn source_for(&self, target: SocketAddr) -> Option<SocketAddr> {
        let mut sources = self.source.iter();
        let source = sources.find(|source| source.is_ipv4() == target.is_ipv4())?;
        Some(SocketAddr::new(*source, 0))
    }
}

/// Those that are under way, oldest first.
struct Attempts<'a> {
    counts: &'a Counts,
    open: VecDeque<Socket>,
    patience: Timespec,
}

impl<'a> Attempts<'a> {
    fn new(counts: &'a Counts, patience: Duration) -> Result<Self> {
        Ok(Self {
            counts,
            open: VecDeque::new(),
            patience: patience.try_into()?,
        })
    }

    fn make(&mut self, target: SocketAddr, source: Option<SocketAddr>) -> Result<()> {
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Its end leaves nothing behind that holds the port.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(source) = source {
            socket.bind(&source.into()).context("bind")?;
        }
        self.counts.attempts.fetch_add(1, Ordering::Relaxed);
        match socket.connect(&target.into()) {
            Ok(()) => self.open.push_back(socket),
            Err(error) if is(&error, Errno::INPROGRESS) => self.open.push_back(socket),
            Err(error) if is(&error, Errno::PERM) => count(&self.counts.forbidden),
            Err(error) if is(&error, Errno::CONNREFUSED) => count(&self.counts.reset),
            Err(error) => return Err(error).with_context(|| target.to_string()),
        }
        self.judge_down_to(AT_ONCE)
    }

    /// Gives up the oldest until so many are left, each after its patience.
    fn judge_down_to(&mut self, left: usize) -> Result<()> {
        while self.open.len() > left {
            let Some(socket) = self.open.pop_front() else {
                break;
            };
            let mut ready = [PollFd::new(&socket, PollFlags::OUT)];
            let came = poll(&mut ready, Some(&self.patience))? > 0;
            match (came, socket.take_error()?) {
                (false, _) => count(&self.counts.silent),
                (true, None) => {
                    count(&self.counts.reached);
                    // For the server to report, too. It may have ended the connection by now.
                    let _ = socket.send(b"slip\n");
                }
                (true, Some(error))
                    if is(&error, Errno::CONNREFUSED) || is(&error, Errno::CONNRESET) =>
                {
                    count(&self.counts.reset);
                }
                (true, Some(error)) => return Err(error).context("an attempt"),
            }
        }
        Ok(())
    }
}

impl Counts {
    /// Until the end of its orders.
    fn obey(&self) -> Result<()> {
        loop {
            match orders::next()?.as_str() {
                "count" => self.print()?,
                "end" => return Ok(()),
                other => bail!("no such order: {other}"),
            }
        }
    }

    fn print(&self) -> Result<()> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        print(&json!({
            "event": "count",
            "attempts": read(&self.attempts),
            "forbidden": read(&self.forbidden),
            "reset": read(&self.reset),
            "silent": read(&self.silent),
            "reached": read(&self.reached),
        }))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// So many attempts later one is given up. On lo a handshake takes no longer than connect(2), as long
/// as the kernel has the time.
const AT_ONCE: usize = 64;
