//! The proxies that are measured. All do the same job: TLS 1.3 with the same certificate, a check
//! of the login that hashes no password, the visitor's name set and a client's own deleted, kept
//! connections to the back-end, an access log in JSON.

mod access_log;
mod floor;
mod gateway;
mod haproxy;
mod nginx;
mod process;
mod proof;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use self::process::says;
pub(crate) use self::process::{Process, first_line, installed};
use crate::cable::Network;
use crate::cores::{Cores, Share};
use crate::order::Protocol;
use crate::place::{self, Place};
use crate::scenario::Logins;
use crate::target::Target;

/// Which proxy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Ours.
    Gateway,
    /// Ours over HTTP/1.1, where clients speak HTTP/3 else: the yardstick.
    GatewayH1,
    /// Ours with a worker on each core.
    #[serde(rename = "gateway-2-workers")]
    GatewayTwoWorkers,
    /// The bare loop.
    Floor,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
}

/// How a subject reaches the back-end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    /// Over TLS, each side with a certificate.
    Mutual,
    /// Over TCP.
    #[default]
    Plain,
}

/// A proxy that serves.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    pub(crate) target: Target,
    /// What its clients speak.
    pub(crate) protocol: Protocol,
    /// How visitors log in to it.
    pub(crate) logins: Logins,
    /// Where it writes a line for each answer; the floor does not.
    access_log: Option<PathBuf>,
}

/// What a subject is started with.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) place: &'a Place,
    /// Where our own programs are.
    pub(crate) programs: &'a Path,
    pub(crate) cores: Cores,
    pub(crate) back_end: SocketAddr,
    pub(crate) link: Link,
    /// What the clients speak.
    pub(crate) protocol: Protocol,
    /// Where they are.
    pub(crate) network: Network,
}

impl Kind {
    /// Every one, in the order of reports: the ratios are the first one's.
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Gateway,
            Self::GatewayH1,
            Self::GatewayTwoWorkers,
            Self::Floor,
            Self::Nginx,
            Self::Haproxy,
        ]
    }

    /// Those that are compared unless a scenario says otherwise.
    pub(crate) fn usual() -> Vec<Self> {
        let mut all = Self::all();
        all.retain(|&kind| kind != Self::GatewayH1 && kind != Self::GatewayTwoWorkers);
        all
    }

    /// Whether what is installed of it speaks HTTP/3; an error names the Debian package that is
    /// missing.
    pub(crate) fn has_http3(self) -> Result<bool> {
        match self {
            Self::Floor => Ok(false),
            Self::Gateway | Self::GatewayH1 | Self::GatewayTwoWorkers => Ok(true),
            Self::Haproxy => says(&installed("haproxy", "haproxy")?, "-vv", haproxy::HTTP3),
            Self::Nginx => says(&installed("nginx", "nginx")?, "-V", nginx::HTTP3),
        }
    }

    /// As reports have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Gateway => "gateway",
            Self::GatewayH1 => "gateway-h1",
            Self::GatewayTwoWorkers => "gateway-2-workers",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// What is run, in one line, unless another's says it; an error names the Debian package that is
    /// missing.
    pub(crate) fn version(self, programs: &Path) -> Result<Option<String>> {
        match self {
            Self::Floor => Ok("floor: the bare loop, of the same source as the gateway".to_owned()),
            Self::Gateway => first_line(&programs.join(gateway::PROGRAM), "version"),
            Self::GatewayH1 | Self::GatewayTwoWorkers => return Ok(None),
            Self::Haproxy => first_line(&installed("haproxy", "haproxy")?, "-v"),
            Self::Nginx => first_line(&installed("nginx", "nginx")?, "-v"),
        }
        .map(Some)
    }

    /// Its access log, among the files of a run.
    fn access_log(self) -> Option<String> {
        match self {
            Self::Floor => None,
            // Its standard output.
            Self::Haproxy => Some(self.log()),
            Self::Gateway | Self::GatewayH1 | Self::GatewayTwoWorkers | Self::Nginx => {
                Some(format!("{self}-access.log"))
            }
        }
    }

    /// What it prints.
    fn log(self) -> String {
        format!("{self}.log")
    }

    const fn share(self) -> Share {
        match self {
            Self::GatewayTwoWorkers => Share::Both,
            Self::Floor | Self::Gateway | Self::GatewayH1 | Self::Haproxy | Self::Nginx => {
                Share::Own
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Subject {
    /// Starts it on its core, waits until it serves, and has it show that it does its job.
    pub(crate) fn start(kind: Kind, setting: &Setting<'_>) -> Result<Self> {
        let listen = place::free_address(setting.network.address())?;
        let access_log = kind.access_log();
        let access_log = access_log.map(|name| setting.place.path(&name));
        // Of an earlier one of its kind; they grow by gigabytes.
        if let Some(file) = &access_log {
            access_log::remove(file)?;
        }
        let command = match kind {
            Kind::Floor => floor::command(setting, listen),
            Kind::Gateway | Kind::GatewayH1 | Kind::GatewayTwoWorkers => {
                gateway::command(kind, setting, listen)?
            }
            Kind::Haproxy => haproxy::command(setting, listen)?,
            Kind::Nginx => nginx::command(setting, listen)?,
        };
        let log = setting.place.path(&kind.log());
        let cores = (setting.cores, kind.share());
        let mut process = Process::start(kind.name(), command, log, cores)?;
        let target = Target::local(listen, setting.place.path("ca.pem"));
        wait(&mut process, &target)?;
        let chain = setting.place.path("server.pem");
        let logins = proof::show(kind, &target, &chain).with_context(|| kind.name())?;
        if setting.protocol == Protocol::H3 {
            proof::show_http3(&target, &chain).with_context(|| format!("{kind} over HTTP/3"))?;
        }
        Ok(Self {
            kind,
            process,
            target,
            protocol: setting.protocol,
            logins,
            access_log,
        })
    }

    /// How many of so many answers have no line in the access log, even after a while.
    pub(crate) fn unlogged(&self, answers: u64) -> Result<u64> {
        match &self.access_log {
            Some(file) => access_log::missing(file, answers),
            None => Ok(0),
        }
    }
}

/// Waits until it answers at all.
fn wait(process: &mut Process, target: &Target) -> Result<()> {
    let begun = Instant::now();
    loop {
        process.expect_running()?;
        let Err(error) = proof::answers(target) else {
            return Ok(());
        };
        if begun.elapsed() > PATIENCE {
            return Err(process.fault(&format!("does not serve: {error:#}")));
        }
        std::thread::sleep(POLL);
    }
}

/// The file of one of our own programs.
fn own(setting: &Setting<'_>, name: &str) -> PathBuf {
    setting.programs.join(name)
}

const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);
