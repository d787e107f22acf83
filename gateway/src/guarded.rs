//! What the gateway knows of its guard: it asks before it serves, and every second after.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use guard::Severity;
use guard::control::{AskError, ask_status};
use guard::status::{EndpointKind, State, Status};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::Admin;
use crate::slice;

/// The guard, as configured, asked from here.
#[derive(Debug)]
pub(crate) struct Guarded {
    socket: PathBuf,
    required: bool,
    slice: String,
    endpoints: Vec<(EndpointKind, String)>,
    /// The service's process, as it was last seen.
    service: watch::Sender<Option<u32>>,
}

/// What the guard is known to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Whether it does what its operator told it to do: refuse, or audit.
    pub(crate) holds: bool,
    /// Whether the gateway is ready with it: it holds, or need not.
    pub(crate) suffices: bool,
    /// What it does, or what is wrong with it, in one line.
    pub(crate) text: String,
}

impl Guarded {
    /// The guard of a configuration, and what it does now. An error is one line for the operator:
    /// this process is outside its slice, or the guard is required and does not hold.
    pub(crate) fn find(config: &config::Guard) -> Result<(Self, View), String> {
        slice::verify(&config.slice)?;
        let guarded = Self {
            socket: config.socket.clone(),
            required: config.required,
            slice: config.slice.as_str().to_owned(),
            endpoints: endpoints(config),
            service: watch::Sender::new(None),
        };
        let patience = if config.required {
            START_PATIENCE
        } else {
            Duration::ZERO
        };
        let view = guarded.see(patience);
        if !view.suffices {
            return Err(format!(
                "guard: {}; the gateway does not start without it (see [guard] required)",
                view.text
            ));
        }
        view.log();
        Ok((guarded, view))
    }

    /// The service's process, whenever another has taken its place.
    pub(crate) fn service(&self) -> watch::Receiver<Option<u32>> {
        self.service.subscribe()
    }

    /// Asks on and on, and tells what is new; never ends. `view` is what is known already.
    pub(crate) async fn watch(self: Arc<Self>, admin: Arc<Admin>, mut view: View) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            // A restart of the guard is no loss: what it pinned goes on refusing.
            let patience = if view.holds { PATIENCE } else { Duration::ZERO };
            let this = Arc::clone(&self);
            let seen = tokio::task::spawn_blocking(move || this.see(patience)).await;
            let seen = seen
                .unwrap_or_else(|error| self.view(false, format!("it cannot be asked: {error}")));
            if seen != view {
                seen.log();
                admin.set_guard(&seen);
                view = seen;
            }
        }
    }

    /// Asks until the guard holds, or `patience` is over; at least once.
    fn see(&self, patience: Duration) -> View {
        let end = Instant::now() + patience;
        loop {
            let view = self.judge(ask_status(&self.socket, ASK_LIMIT));
            if view.holds || Instant::now() >= end {
                return view;
            }
            thread::sleep(RETRY);
        }
    }

    fn judge(&self, answer: Result<Status, AskError>) -> View {
        let status = match answer {
            Ok(status) => status,
            Err(error) => return self.view(false, error.to_string()),
        };
        self.service.send_if_modified(|known| {
            let is_new = *known != Some(status.pid);
            *known = Some(status.pid);
            is_new
        });
        let mut text = status.state.as_str().to_owned();
        if status.r#override.is_some() {
            text.push_str(", overridden by the command line");
        }
        let faults = self.faults(&status);
        if !faults.is_empty() {
            text.push_str(": ");
            text.push_str(&faults.join("; "));
        }
        let attached = matches!(status.state, State::Auditing | State::Enforcing);
        self.view(attached && faults.is_empty(), text)
    }

    fn view(&self, holds: bool, text: String) -> View {
        View {
            holds,
            suffices: holds || !self.required,
            text,
        }
    }

    /// What keeps it from holding, whatever its state is called.
    fn faults(&self, status: &Status) -> Vec<String> {
        let mut faults = Vec::new();
        if status.slice.path != self.slice {
            let (its, ours) = (&status.slice.path, &self.slice);
            faults.push(format!(
                "it lets {its} through, and the gateway is in {ours}"
            ));
        } else if !status.slice.present {
            faults.push(format!("{} does not exist", self.slice));
        }
        // It may run with an older configuration, or one of another file.
        let missing = self.endpoints.iter().filter(|(kind, address)| {
            let mut its = status.endpoints.iter();
            !its.any(|its| its.kind == *kind && its.address == *address)
        });
        faults.extend(
            missing
                .map(|(kind, address)| format!("it does not protect {} {address}", kind.as_str())),
        );
        let loose = status.links.iter().filter(|link| !link.attached);
        faults.extend(loose.map(|link| format!("{} is not attached", link.program)));
        let found = status.findings.iter();
        let found = found.filter(|finding| finding.severity == Severity::Fault);
        faults.extend(found.map(|finding| format!("{}: {}", finding.name, finding.message)));
        faults
    }
}

impl View {
    fn log(&self) {
        if self.holds {
            tracing::info!(state = self.text, "the guard holds");
        } else {
            tracing::error!(state = self.text, "the guard is lost");
        }
    }
}

/// The endpoints of a configuration, as the guard writes them.
fn endpoints(config: &config::Guard) -> Vec<(EndpointKind, String)> {
    let locals = config.locals.iter().map(|local| {
        let address = match local.address {
            None => format!("*:{}", local.port),
            Some(address) => SocketAddr::new(address, local.port.get()).to_string(),
        };
        (EndpointKind::Local, address)
    });
    let remotes = config.remotes.iter();
    let remotes = remotes.map(|remote| (EndpointKind::Remote, remote.to_string()));
    locals.chain(remotes).collect()
}

/// How long one conversation with the guard may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// How often the guard is asked.
const LOOK: Duration = Duration::from_secs(1);

/// How long a guard that held may seem not to before it is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause after an answer that will not do.
const RETRY: Duration = Duration::from_millis(100);

/// How long a guard that is required may take to hold when the gateway starts.
const START_PATIENCE: Duration = Duration::from_secs(5);
