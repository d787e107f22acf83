//! Programs from Debian's packages. What is there already is used, wherever it came from.

use std::iter;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Level, Peer};
use crate::command::{echo, run, run_unseen, succeeds};

/// Installs the packages of a level whose programs are missing.
pub(crate) fn install(level: Level) -> Result<()> {
    let needs = NEEDS.iter().filter(|(least, _)| *least <= level);
    install_missing(needs.map(|(_, need)| need))
}

/// Installs what a benchmark needs, and those of the peers that it has.
pub(super) fn install_for_bench(peers: &[Peer]) -> Result<()> {
    let peers = peers.iter().map(|peer| match peer {
        Peer::Haproxy => &HAPROXY,
        Peer::Nginx => &NGINX,
    });
    install_missing(FOR_BENCH.iter().chain(peers))
}

/// Installs what counting instructions needs.
pub(super) fn install_for_instructions() -> Result<()> {
    install_missing(iter::once(&VALGRIND))
}

fn install_missing<'a>(needs: impl Iterator<Item = &'a Need>) -> Result<()> {
    let missing: Vec<&Need> = needs.filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        announce(need.packages, need.why);
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    get(&packages)?;
    match missing.iter().find(|need| !need.is_met()) {
        None => Ok(()),
        Some(need) => bail!(
            "{} installed, but `{}` still fails; it is needed: {}",
            need.packages.join(" "),
            need.probe.join(" "),
            need.why
        ),
    }
}

/// Installs packages, whatever the level.
pub(super) fn add(packages: &[&str], why: &str) -> Result<()> {
    announce(packages, why);
    get(packages)
}

fn announce(packages: &[&str], why: &str) {
    eprintln!("setup: installing {}: {why}", packages.join(" "));
}

fn get(packages: &[&str]) -> Result<()> {
    let privilege = Privilege::find(packages)?;
    update(&privilege)?;
    run(privilege
        .apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages))
}

/// One thing that a task needs.
struct Need {
    /// A command that succeeds once it is there.
    probe: &'static [&'static str],
    packages: &'static [&'static str],
    why: &'static str,
}

impl Need {
    fn is_met(&self) -> bool {
        let Some((program, arguments)) = self.probe.split_first() else {
            return false;
        };
        succeeds(Command::new(program).args(arguments))
    }
}

/// How apt-get may be run.
enum Privilege {
    Root,
    Sudo,
}

impl Privilege {
    fn find(packages: &[&str]) -> Result<Self> {
        let packages = packages.join(" ");
        if !succeeds(Command::new("apt-get").arg("--version")) {
            bail!("no apt-get here: install by other means what Debian calls {packages}");
        }
        if rustix::process::geteuid().is_root() {
            Ok(Self::Root)
        } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
            Ok(Self::Sudo)
        } else {
            bail!(
                "not root; run this, then try again:\n  \
                 sudo apt-get update && \
                 sudo apt-get install --yes --no-install-recommends {packages}"
            );
        }
    }

    fn apt_get(&self) -> Command {
        // `env`, because sudo drops the caller's environment.
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => {
                let mut sudo = Command::new("sudo");
                sudo.args(["-n", "env"]);
                sudo
            }
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]);
        command
    }
}

/// Refreshes the package lists. Their lock has no time-out of its own, so this tries again.
fn update(privilege: &Privilege) -> Result<()> {
    let mut command = privilege.apt_get();
    command.arg("update");
    echo(&command);
    for _ in 1..UPDATE_TRIES {
        match run_unseen(&mut command) {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("setup: {error}; trying again in {UPDATE_PAUSE:?}"),
        }
        sleep(UPDATE_PAUSE);
    }
    run_unseen(&mut command).context("cannot refresh the package lists")
}

const UPDATE_TRIES: u32 = 5;
const UPDATE_PAUSE: Duration = Duration::from_secs(10);

const NEEDS: &[(Level, Need)] = &[
    (
        Level::Build,
        Need {
            probe: &["cc", "-E", "-x", "c", "-include", "stdlib.h", "/dev/null"],
            packages: &["gcc", "libc6-dev"],
            why: "aws-lc, the TLS library, is C",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["c++", "-E", "-x", "c++", "-include", "vector", "/dev/null"],
            packages: &["g++"],
            why: "libFuzzer is C++",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["curl", "--version"],
            packages: &["curl"],
            why: "tests use it as a client",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["sh", "-c", "command -v slowhttptest"],
            packages: &["slowhttptest"],
            why: "its attacks are among the tests",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["ip", "-V"],
            packages: &["iproute2"],
            why: "tests of the guard make networks of their own",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["nft", "--version"],
            packages: &["nftables"],
            why: "address translation is among the attacks on the guard",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["python3", "-c", "import ensurepip, venv"],
            packages: &["python3", "python3-venv"],
            why: "Python's clients of Connect, and applications in Python, are tested with the gateway",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["sh", "-c", "ls /usr/lib/*/faketime/libfaketime.so.1"],
            packages: &["libfaketime"],
            why: "the gateway's clock jumps in a test",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["Rscript", "-e", "library(rsconnect)"],
            packages: &["r-base-core", "r-cran-rsconnect"],
            why: "R deploys through the gateway in a test",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["Rscript", "-e", "library(shiny)"],
            packages: &["r-cran-shiny"],
            why: "an app of R's Shiny keeps its visitors in a test",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["chromium", "--version"],
            packages: &["chromium"],
            why: "a browser uses a Shiny app through the gateway in a test",
        },
    ),
    (
        Level::Test,
        Need {
            probe: &["chromedriver", "--version"],
            packages: &["chromium-driver"],
            why: "drives that browser",
        },
    ),
];

/// What a benchmark needs, whoever is measured.
const FOR_BENCH: &[Need] = &[
    Need {
        probe: &["sh", "-c", "command -v wrk"],
        packages: &["wrk"],
        why: "makes the load of most benchmarks",
    },
    Need {
        probe: &["perf", "--version"],
        packages: &["linux-perf"],
        why: "counts system calls in benchmarks",
    },
    Need {
        probe: &["ip", "-V"],
        packages: &["iproute2"],
        why: "lays the cable of the scenarios over veth",
    },
];

const VALGRIND: Need = Need {
    probe: &["valgrind", "--version"],
    packages: &["valgrind"],
    why: "counts the instructions of a request",
};

/// Servers are where an ordinary user's PATH does not lead.
const HAPROXY: Need = Need {
    probe: &["sh", "-c", "PATH=$PATH:/usr/sbin command -v haproxy"],
    packages: &["haproxy"],
    why: "benchmarks have it beside the gateway",
};

const NGINX: Need = Need {
    probe: &["sh", "-c", "PATH=$PATH:/usr/sbin command -v nginx"],
    packages: &["nginx"],
    why: "benchmarks have it beside the gateway",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_met_only_if_its_probe_succeeds() {
        let need = |probe| Need {
            probe,
            packages: &[],
            why: "",
        };
        assert!(need(&["sh", "-c", "exit 0"]).is_met());
        assert!(!need(&["sh", "-c", "exit 1"]).is_met());
        assert!(!need(&["/nowhere/at/all"]).is_met());
        assert!(!need(&[]).is_met());
    }
}
