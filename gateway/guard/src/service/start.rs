//! The way to a running service: everything that may be missing is found before anything is
//! attached.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use gateway_ebpf::abi::Program;
use tokio::sync::{mpsc, watch};

use super::{Service, UNREADABLE};
use crate::control::{Asker, Seat, SeatError};
use crate::error::GuardError;
use crate::events::EventLog;
use crate::guard::{Guard, Options};
use crate::link::{self, Hook};
use crate::overrides::{Override, OverrideError, OverrideFile};
use crate::probe::{Finding, Severity, probe};
use crate::rules::{Mode, Rules};

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
    /// Attach only these; `None`: all that the rules need. A fault where others are pinned.
    pub programs: Option<Vec<Program>>,
    /// Run on a kernel on which the guard was not proven.
    pub allow_unproven_kernel: bool,
    /// Switch the kernel's run-time statistics on.
    pub statistics: bool,
}

/// Everything that may be missing was found, and nothing is attached yet.
#[derive(Debug)]
pub struct Prepared {
    start: Start,
    seat: Seat,
    listener: UnixListener,
    file: OverrideFile,
    set: Option<Override>,
    findings: Vec<Finding>,
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
        if let (Some(pins), Some(programs)) = (pins, &start.programs) {
            findings.extend(detaching(pins, programs));
        }
        if findings
            .iter()
            .any(|found| found.severity == Severity::Fault)
        {
            findings.retain(|found| found.severity == Severity::Fault);
            return Err(StartError::Faults(findings));
        }
        findings.extend(start.programs.as_deref().map(incomplete));
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
            beside: watch::Sender::new(None),
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

/// A part of the programs must not take the place of more: what it leaves out would be detached.
fn detaching(pins: &Path, programs: &[Program]) -> Option<Finding> {
    let is_pinned = |program: &Program| {
        let pinned = link::pinned_program(pins, Hook::Decides(*program));
        // Whatever cannot be looked at is there.
        !matches!(pinned, Ok(None))
    };
    let left_out = Program::ALL
        .iter()
        .filter(|program| !programs.contains(program))
        .filter(|program| is_pinned(program))
        .map(|program| program.as_str());
    let names = left_out.collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| Finding {
        name: "programs_pinned",
        severity: Severity::Fault,
        message: format!(
            "--programs leaves out what is pinned in {} and would be detached: {names}; \
             expected these too, or --unpinned",
            pins.display()
        ),
    })
}

fn incomplete(programs: &[Program]) -> Finding {
    let names = programs.iter().map(|program| program.as_str());
    Finding {
        name: "incomplete",
        severity: Severity::Warning,
        message: format!(
            "only these programs were asked for by the command line, not all that the rules need: {}",
            names.collect::<Vec<_>>().join(", ")
        ),
    }
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
    fn a_part_of_the_programs_is_named() {
        let found = incomplete(&[Program::Connect4, Program::Connect6]);
        assert_eq!(
            (found.name, found.severity),
            ("incomplete", Severity::Warning)
        );
        let message = &found.message;
        assert!(message.ends_with(": connect4, connect6"), "{message}");
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
