//! Making the load: wrk where it can, our own generator elsewhere.

mod own;
mod syscalls;
mod wrk;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

pub(crate) use self::syscalls::Syscalls;
use crate::cable::Cable;
use crate::order::{Order, Outcome, Protocol};
use crate::place::Place;
use crate::scenario::{Load, Logins, Method, Request, Scenario};
use crate::subject::{first_line, installed};
use crate::target::Target;

/// What makes load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generators<'a> {
    pub(crate) place: &'a Place,
    /// Where our own programs are.
    pub(crate) programs: &'a Path,
    /// On which clients come, if not over loopback.
    pub(crate) cable: Option<&'a Cable>,
}

/// A load that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) target: &'a Target,
    pub(crate) logins: &'a Logins,
    pub(crate) protocol: Protocol,
    pub(crate) time: Duration,
    /// Whose system calls are counted meanwhile.
    pub(crate) syscalls: Option<&'a Syscalls>,
}

/// A load that can begin.
pub(crate) enum Job {
    Own(own::Job),
    Wrk(wrk::Job),
}

impl Generators<'_> {
    /// Whether wrk makes a scenario's load, for one of its subjects at least.
    pub(crate) fn is_wrk(scenario: &Scenario) -> bool {
        let mut subjects = scenario.subjects.iter();
        subjects.any(|kind| plain(scenario, scenario.protocol_of(*kind)).is_some())
    }

    /// wrk's version, or which package it is in.
    pub(crate) fn wrk_version() -> Result<String> {
        let wrk = installed("wrk", "wrk")?;
        // It prints its version and then its usage, and fails.
        first_line(&wrk, "-v")
    }

    /// Sets up a load. If system calls are to be counted, that begins here.
    pub(crate) fn prepare(&self, wanted: &Wanted<'_>) -> Result<Job> {
        match plain(wanted.scenario, wanted.protocol) {
            Some(request) => Ok(Job::Wrk(wrk::Job::new(self, wanted, request)?)),
            None => Ok(Job::Own(self.own(wanted)?)),
        }
    }

    /// Has every request of a scenario answered a few times, so that caches are filled, connections
    /// to the back-end are open, and what cannot work says so. How often they were answered.
    pub(crate) fn warm_up(&self, wanted: &Wanted<'_>) -> Result<u64> {
        let time = WARM_UP;
        let outcome = self.own(&Wanted { time, ..*wanted })?.go()?;
        Ok(outcome.done)
    }

    fn own(&self, wanted: &Wanted<'_>) -> Result<own::Job> {
        let program = self.programs.join("bench-load");
        own::Job::start(self.command(wanted, &program), &wanted.order())
    }

    /// A command of the clients', during which syscalls are counted if that is wanted.
    fn command(&self, wanted: &Wanted<'_>, program: &Path) -> Command {
        let command = match wanted.syscalls {
            None => Command::new(program),
            Some(syscalls) => syscalls.command(program),
        };
        match self.cable {
            None => command,
            Some(cable) => cable.enter(&command),
        }
    }
}

impl Wanted<'_> {
    /// As our own generator is told.
    fn order(&self) -> Order {
        let Self {
            scenario, target, ..
        } = self;
        let requests = scenario.requests.iter();
        let milliseconds = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        let (connections, streams) = match self.protocol {
            // As many requests at once.
            Protocol::H1 => (scenario.load.at_once(), 1),
            Protocol::H3 => (scenario.load.connections(), scenario.load.streams()),
        };
        Order {
            address: target.address,
            name: target.name.clone(),
            ca: target.ca.clone(),
            group: scenario.group,
            requests: requests
                .flat_map(|request| request.order(&target.host, self.logins))
                .collect(),
            connections,
            streams,
            protocol: self.protocol,
            work: scenario.load.work(milliseconds),
        }
    }
}

impl Job {
    /// Does the work.
    pub(crate) fn go(&mut self) -> Result<Outcome> {
        match self {
            Self::Own(job) => job.go(),
            Self::Wrk(job) => job.go(),
        }
    }
}

/// The request, if wrk can make the load: one GET again and again over HTTP/1.1, in a closed loop.
fn plain(scenario: &Scenario, protocol: Protocol) -> Option<&Request> {
    if protocol != Protocol::H1 {
        return None;
    }
    let [request] = scenario.requests.as_slice() else {
        return None;
    };
    let once = request.fields(&Logins::default()).len() == 1;
    let closed = matches!(scenario.load, Load::Closed { .. });
    (closed && once && request.method == Method::Get && request.expect == 200).then_some(request)
}

const WARM_UP: Duration = Duration::from_millis(200);
