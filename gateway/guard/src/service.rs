//! The guard as a process: it starts the guard, watches it, tells about it, and does what the
//! command line wants. Enforcement outlives it: what is pinned goes on without the process.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use gateway_ebpf::abi::Program;
use tokio::net::unix::UCred;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::cgroup::Hierarchy;
use crate::control::{self, Answer, Ask, Asker, Question, Reply, Right, Seat, SeatError};
use crate::error::GuardError;
use crate::events::EventLog;
use crate::explain::{Explanation, NoSubject, explain};
use crate::guard::{Guard, Notice, Options};
use crate::object::OBJECT_SHA256;
use crate::overrides::{Override, OverrideError, OverrideFile};
use crate::probe::{Finding, Severity, probe};
use crate::rules::{Mode, Rules};
use crate::status::{self, Status};

/// What the service is started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// What is enforced.
    pub rules: Rules,
    /// The configured mode.
    pub mode: Mode,
    /// Where it answers.
    pub socket: PathBuf,
    /// The file of the override.
    pub override_file: PathBuf,
    /// Where links and maps are pinned; `None`: they end with the process.
    pub pins: Option<PathBuf>,
    /// Attach only these; `None`: all that the rules need.
    pub programs: Option<Vec<Program>>,
    /// Run on a kernel on which the guard was not proven.
    pub allow_unproven_kernel: bool,
    /// Switch the kernel's run-time statistics on.
    pub statistics: bool,
}

/// Everything that may be missing was found, and nothing is attached yet: the moment to bind what
/// else the process needs.
#[derive(Debug)]
pub struct Prepared {
    start: Start,
    seat: Seat,
    listener: UnixListener,
    file: OverrideFile,
    set: Option<Override>,
    findings: Vec<Finding>,
}

/// The service, started: what it should hold, holds.
pub struct Service {
    guard: Guard,
    configured: Mode,
    file: OverrideFile,
    set: Option<Override>,
    kernel: String,
    findings: Vec<Finding>,
    watch_fault: Option<String>,
    mode_fault: Option<String>,
    log: EventLog,
    reattached: u64,
    seat: Seat,
    listener: UnixListener,
    asker: Asker,
    questions: mpsc::Receiver<Question>,
}

/// Why it did not start. Nothing was attached that was not before.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something here is not as the guard needs it; every such finding.
    #[error("{}", faults(_0))]
    Faults(Vec<Finding>),
    /// The kernel would not.
    #[error(transparent)]
    Guard(#[from] GuardError),
}

impl Prepared {
    /// Takes the seat, looks at the host, and listens.
    pub fn new(start: Start) -> Result<Self, StartError> {
        let seat = Seat::take(&start.socket).map_err(|error| unseated(&error))?;
        let pins = start.pins.as_deref();
        let mut findings = probe(&start.rules, pins, start.allow_unproven_kernel);
        if findings
            .iter()
            .any(|found| found.severity == Severity::Fault)
        {
            findings.retain(|found| found.severity == Severity::Fault);
            return Err(StartError::Faults(findings));
        }
        let file = OverrideFile::at(&start.override_file);
        let set = file.read().unwrap_or_else(|error| {
            findings.push(unreadable(&error));
            None
        });
        let listener = seat.listen().map_err(|error| unseated(&error))?;
        Ok(Self {
            start,
            seat,
            listener,
            file,
            set,
            findings,
        })
    }

    /// Starts the guard in the mode that holds: the override's, or the configured one.
    pub fn attach(self) -> Result<Service, StartError> {
        let Self { start, set, .. } = self;
        let guard = Guard::start(
            start.rules,
            set.map_or(start.mode, |set| set.mode),
            Options {
                pins: start.pins,
                programs: start.programs,
                statistics: start.statistics,
            },
        )?;
        for found in &self.findings {
            tracing::warn!(finding = found.name, "{}", found.message);
        }
        let (sender, questions) = mpsc::channel(WAITING);
        Ok(Service {
            log: EventLog::new(guard.hierarchy().clone(), guard.rules().clone()),
            guard,
            configured: start.mode,
            file: self.file,
            set,
            kernel: kernel_release(),
            findings: self.findings,
            watch_fault: None,
            mode_fault: None,
            reattached: 0,
            seat: self.seat,
            listener: self.listener,
            asker: Asker::new(sender),
            questions,
        })
    }
}

impl Service {
    /// Asks this service, from within its process; answered while it runs.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Runs until `stop`. What is pinned stays.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let right = right(self.guard.hierarchy().clone(), &self.guard.rules().slice);
        let listener = tokio::net::UnixListener::from_std(self.listener.try_clone()?)?;
        let serving = tokio::spawn(control::serve(listener, self.asker(), right));
        let mut stop = pin!(stop);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = look.tick() => self.look(),
                Some(Question { ask, reply }) = self.questions.recv() => {
                    // Who asked may be gone.
                    let _ = reply.send(self.answer(ask));
                }
            }
        }
        serving.abort();
        // The last events are the ones that an operator looks for.
        self.write_events();
        if let Err(error) = self.seat.remove_socket() {
            tracing::warn!(%error, "control socket");
        }
        Ok(())
    }

    /// The state now.
    pub fn status(&self) -> Status {
        let mode = self.guard.mode();
        let links = self.links();
        let mut findings: Vec<_> = self.findings.iter().map(status::Found::from).collect();
        let mut fault = |name: &str, message: String| {
            findings.push(status::Found {
                name: name.into(),
                severity: Severity::Fault,
                message,
            });
        };
        if let Some(message) = &self.watch_fault {
            fault("watch_failed", message.clone());
        }
        if let Some(message) = &self.mode_fault {
            fault("mode_not_applied", message.clone());
        }
        let verdicts = self.verdicts().unwrap_or_else(|error| {
            fault("counters_unreadable", error.to_string());
            Vec::new()
        });
        let events_lost = self.guard.events_lost().unwrap_or_else(|error| {
            fault("counters_unreadable", error.to_string());
            0
        });
        let slice_present = self.guard.slice_present();
        let state = status::State::of(&status::Facts {
            mode,
            attached: !links.is_empty() && links.iter().all(|link| link.attached),
            slice_present,
            fault: findings
                .iter()
                .any(|found| found.severity == Severity::Fault),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            object_sha256: OBJECT_SHA256.map(Into::into),
            pid: std::process::id(),
            kernel: self.kernel.clone(),
            state,
            mode,
            configured_mode: self.configured,
            r#override: self.set,
            slice: status::Slice {
                path: self.guard.rules().slice.clone(),
                present: slice_present,
            },
            endpoints: self.endpoints(),
            links,
            findings,
            verdicts,
            events_lost,
            suppressed_log_lines: self.log.suppressed(),
            reattached: self.reattached,
            destroyed_sockets: self.guard.destroyed(),
        }
    }

    fn answer(&mut self, ask: Ask) -> Reply {
        let done = match ask {
            Ask::Clear => self.clear(),
            Ask::Explain { what } => {
                return match self.explain(&what) {
                    Ok(explanation) => Reply::Ok(Answer::Explanation(Box::new(explanation))),
                    Err(message) => Reply::Error(message),
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

    fn look(&mut self) {
        self.write_events();
        let fault = match self.guard.watch() {
            Ok(notices) => {
                notices.into_iter().for_each(|notice| self.tell(&notice));
                None
            }
            Err(error) => Some(error.to_string()),
        };
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
            Notice::Reattached { program, found } => {
                self.reattached += 1;
                tracing::error!(program, found, "a program was not attached; it is again");
            }
        }
    }

    fn write_events(&mut self) {
        let now = Instant::now();
        self.guard.events(|event| self.log.write(event, now));
    }

    fn endpoints(&self) -> Vec<status::Endpoint> {
        let rules = self.guard.rules();
        let locals = rules.locals.iter().enumerate();
        let locals = locals.map(|(index, local)| status::Endpoint {
            kind: status::EndpointKind::Local,
            address: local.written(),
            service: Some(local.service.clone()),
            service_present: Some(self.guard.service_present(index)),
            uid: local.uid,
            allow_from: local.allow_from.iter().map(ToString::to_string).collect(),
        });
        let remotes = rules.remotes.iter().map(|remote| status::Endpoint {
            kind: status::EndpointKind::Remote,
            address: remote.to_string(),
            service: None,
            service_present: None,
            uid: None,
            allow_from: Vec::new(),
        });
        locals.chain(remotes).collect()
    }

    fn links(&self) -> Vec<status::Link> {
        let links = self.guard.links().into_iter();
        links
            .map(|link| status::Link {
                program: link.program.to_owned(),
                attached: link.attached,
                program_id: link.program_id,
                runs: link.runs,
                run_time_ns: link.run_time,
            })
            .collect()
    }

    fn verdicts(&self) -> Result<Vec<status::Verdict>, GuardError> {
        let mut sums = BTreeMap::new();
        for count in self.guard.counts()? {
            let action = match (count.reason.passes(), count.enforced) {
                (true, _) => status::Action::Passed,
                (false, true) => status::Action::Refused,
                (false, false) => status::Action::WouldRefuse,
            };
            *sums
                .entry((count.program, count.reason, action))
                .or_insert(0) += count.count;
        }
        let verdicts = sums.into_iter();
        Ok(verdicts
            .map(|((program, reason, action), count)| status::Verdict {
                program: program.as_str().into(),
                reason: reason.as_str().into(),
                action,
                count,
            })
            .collect())
    }
}

impl From<&Finding> for status::Found {
    fn from(finding: &Finding) -> Self {
        Self {
            name: finding.name.into(),
            severity: finding.severity,
            message: finding.message.clone(),
        }
    }
}

/// What a peer may ask. Its process may have ended, and another may have its id by now: then that
/// one's cgroup gives the right to the status, which is no secret.
fn right(cgroups: Hierarchy, slice: &str) -> impl Fn(&UCred) -> Right + use<> {
    let slice = slice.to_owned();
    move |peer| {
        if peer.uid() == 0 {
            return Right::All;
        }
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
        match pid.map(|pid| cgroups.of_process(pid)) {
            Some(Ok(cgroup)) if cgroup.is_in(&slice) => Right::Status,
            Some(Ok(_)) | None => Right::Nothing,
            Some(Err(error)) => {
                tracing::debug!(pid, %error, "a peer's cgroup");
                Right::Nothing
            }
        }
    }
}

fn unseated(error: &SeatError) -> StartError {
    let name = match error {
        SeatError::Io { .. } => "socket_unusable",
        SeatError::Taken { .. } => "already_running",
        SeatError::Unsafe { .. } => "socket_unsafe",
    };
    StartError::Faults(vec![Finding {
        name,
        severity: Severity::Fault,
        message: error.to_string(),
    }])
}

fn unreadable(error: &OverrideError) -> Finding {
    Finding {
        name: UNREADABLE,
        severity: Severity::Warning,
        message: format!("{error}; the configured mode is in force"),
    }
}

fn faults(findings: &[Finding]) -> String {
    let lines = findings
        .iter()
        .map(|found| format!("{}: {}", found.name, found.message));
    lines.collect::<Vec<_>>().join("\n")
}

fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// How often the guard is looked after.
const LOOK: Duration = Duration::from_millis(100);
const UNREADABLE: &str = "override_unreadable";
/// Questions that wait while another is answered.
const WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn faults_are_named_one_a_line() {
        let found = |name| Finding {
            name,
            severity: Severity::Fault,
            message: format!("about {name}"),
        };
        let error = StartError::Faults(vec![found("no_bpffs"), found("no_capability")]);
        assert_eq!(
            error.to_string(),
            "no_bpffs: about no_bpffs\nno_capability: about no_capability"
        );
    }

    #[test]
    fn a_second_service_names_what_it_meets() {
        let scratch = Scratch::new();
        let socket = scratch.path().join("guard.sock");
        let _first = Seat::take(&socket).unwrap();
        let second = unseated(&Seat::take(&socket).unwrap_err()).to_string();
        assert!(
            second.starts_with("already_running: another process holds"),
            "{second}"
        );
    }
}
