//! The guard as a process: it starts the guard, watches it, tells about it, and does what the
//! command line wants. Enforcement outlives it: what is pinned goes on without the process.

mod eye;
mod report;
mod start;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::time::{Duration, Instant};

use eye::{Change, Eye};
pub use start::{Prepared, Start, StartError};
use tokio::net::unix::UCred;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::cgroup::Hierarchy;
use crate::control::{self, Answer, Ask, Asker, Join, Joined, Question, Reply, Right, Seat};
use crate::events::EventLog;
use crate::explain::{Explanation, NoSubject, explain};
use crate::guard::{Guard, Notice};
use crate::overrides::{Override, OverrideFile};
use crate::probe::Finding;
use crate::rules::Mode;
use crate::steering::SteeringError;

/// The service, started: what it should hold, holds.
pub struct Service {
    guard: Guard,
    configured: Mode,
    file: OverrideFile,
    set: Option<Override>,
    kernel: String,
    findings: Vec<Finding>,
    beside: watch::Sender<Option<Finding>>,
    watch_fault: Option<String>,
    mode_fault: Option<String>,
    log: EventLog,
    reattached: u64,
    seat: Seat,
    listener: UnixListener,
    asker: Asker,
    questions: mpsc::Receiver<Question>,
}

impl Service {
    /// Asks this service, from within its process; answered while it runs.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// What the process finds in what it runs beside this service: it is shown in the status for as
    /// long as it stands there.
    pub fn beside(&self) -> watch::Sender<Option<Finding>> {
        self.beside.clone()
    }

    /// Runs until `stop`. What is pinned stays.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let right = right(self.guard.hierarchy().clone(), &self.guard.rules().slice);
        let serving = control::start(self.listener.try_clone()?, self.asker(), right)?;
        let mut stop = pin!(stop);
        let mut eye = Eye::default();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = look.tick() => {
                    // Not when it stirs: that may be often, and is nothing that was refused.
                    self.write_events();
                    self.look(&mut eye);
                }
                () = eye.stirred() => self.look(&mut eye),
                Some(Question { ask, sockets, reply }) = self.questions.recv() => {
                    let answer = self.answer(ask, &sockets);
                    // Who asked in this process may be gone, and sent no sockets.
                    let _ = reply.send((answer, sockets));
                }
            }
        }
        drop(serving);
        // The last events are the ones that an operator looks for.
        self.write_events();
        if let Err(error) = self.seat.remove_socket() {
            tracing::warn!(%error, "control socket");
        }
        Ok(())
    }

    fn answer(&mut self, ask: Ask, sockets: &[OwnedFd]) -> Reply {
        let done = match ask {
            Ask::Clear => self.clear(),
            Ask::Explain { what } => {
                return match self.explain(&what) {
                    Ok(explanation) => Reply::Ok(Answer::Explanation(Box::new(explanation))),
                    Err(message) => Reply::Error(message),
                };
            }
            Ask::Join(join) => {
                return match self.join(&join, sockets) {
                    Ok(joined) => Reply::Ok(Answer::Joined(joined)),
                    Err(error) => Reply::Error(error.to_string()),
                };
            }
            Ask::Set { mode } => self.set(mode),
            Ask::Status => Ok(()),
        };
        match done {
            Ok(()) => Reply::Ok(Answer::Status(Box::new(self.status()))),
            Err(message) => Reply::Error(message),
        }
    }

    fn explain(&self, what: &str) -> Result<Explanation, String> {
        let subject = what.parse().map_err(|error: NoSubject| error.to_string())?;
        explain(self.guard.rules(), self.guard.mode(), &subject).map_err(|error| error.to_string())
    }

    fn join(&mut self, join: &Join, sockets: &[OwnedFd]) -> Result<Joined, SteeringError> {
        let joined = self.guard.join(join, sockets);
        match &joined {
            Ok(generation) => tracing::info!(
                generation,
                addresses = join.addresses,
                workers = join.workers,
                "QUIC is steered to a process of the gateway's"
            ),
            Err(error) => tracing::warn!(%error, "QUIC cannot be steered to a process"),
        }
        joined.map(|generation| Joined { generation })
    }

    /// Stored first: an override that does not survive a restart would be a trap.
    fn set(&mut self, mode: Mode) -> Result<(), String> {
        let set = Override::now(mode);
        self.file.write(&set).map_err(|error| error.to_string())?;
        self.set = Some(set);
        self.forget_unreadable();
        tracing::warn!(mode = mode.as_str(), "overridden by the command line");
        self.apply(mode)
    }

    fn clear(&mut self) -> Result<(), String> {
        self.file.remove().map_err(|error| error.to_string())?;
        self.set = None;
        self.forget_unreadable();
        let mode = self.configured;
        tracing::info!(mode = mode.as_str(), "the override is cleared");
        self.apply(mode)
    }

    fn apply(&mut self, mode: Mode) -> Result<(), String> {
        let applied = self.guard.set_mode(mode);
        self.mode_fault = applied.err().map(|error| {
            tracing::error!(mode = mode.as_str(), %error, "the mode is stored, but not applied");
            format!(
                "the mode {} is stored, but not applied: {error}",
                mode.as_str()
            )
        });
        self.mode_fault.clone().map_or(Ok(()), Err)
    }

    fn forget_unreadable(&mut self) {
        self.findings.retain(|found| found.name != UNREADABLE);
    }

    fn look(&mut self, eye: &mut Eye) {
        match eye.aim(self.guard.rules(), self.guard.hierarchy()) {
            Some(Change::Back) => tracing::info!("cgroups that come and go are noticed at once"),
            Some(Change::Lost(error)) => {
                tracing::warn!(%error, "cgroups that come and go are noticed by looking alone");
            }
            None => {}
        }
        let (notices, fault) = self.guard.watch();
        notices.iter().for_each(|notice| self.tell(notice));
        let fault = fault.map(|error| error.to_string());
        if fault != self.watch_fault {
            match &fault {
                Some(error) => tracing::error!(error, "watching the guard fails"),
                None => tracing::info!("watching the guard works again"),
            }
            self.watch_fault = fault;
        }
    }

    fn tell(&mut self, notice: &Notice) {
        match notice {
            Notice::Cgroup { path, present } => {
                let what = if *present {
                    "a cgroup came"
                } else {
                    "a cgroup went"
                };
                tracing::info!(cgroup = path, "{what}");
            }
            Notice::Namespace { path } => {
                tracing::info!(namespace = %path.display(), "another namespace has this name now");
            }
            Notice::Reattached { program, found } => {
                self.reattached += 1;
                tracing::error!(program, found, "a program was not attached; it is again");
            }
            Notice::Repinned { map } => {
                tracing::error!(map, "the pin of a map was removed; it is made again");
            }
        }
    }

    fn write_events(&mut self) {
        let now = Instant::now();
        self.guard.events(|event| self.log.write(event, now));
    }
}

/// What a peer may ask. Its process may have ended, and another may have its id by now: then that
/// one's cgroup gives the right to the status, which is no secret, and to join with sockets of the
/// gateway's address, which only its user can make.
fn right(cgroups: Hierarchy, slice: &str) -> impl Fn(&UCred) -> Right + use<> {
    let slice = slice.to_owned();
    move |peer| {
        if peer.uid() == 0 {
            return Right::All;
        }
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
        match pid.map(|pid| cgroups.of_process(pid)) {
            Some(Ok(cgroup)) if cgroup.is_in(&slice) => Right::Gateway,
            Some(Ok(_)) | None => Right::Nothing,
            Some(Err(error)) => {
                tracing::debug!(pid, %error, "a peer's cgroup");
                Right::Nothing
            }
        }
    }
}

/// How often the guard is looked after, if nothing stirs.
const LOOK: Duration = Duration::from_millis(100);
const UNREADABLE: &str = "override_unreadable";
