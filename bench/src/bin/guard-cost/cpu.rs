//! The whole process's CPU time for a proxied request: with nothing, with the guard, with what
//! nftables has.

use std::fmt;

use anyhow::{Context, Result, bail};
use guard::{Baseline, Guard, Mode, Options, Rules};
use rustix::time::{ClockId, clock_gettime};

use crate::nft::{Match, Table};
use crate::place::Cgroups;
use crate::traffic::Traffic;

/// What stands before the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The guard, enforcing.
    Guard,
    /// Two programs that do nothing.
    Empty,
    /// A rule of nftables.
    Nft(Match),
    /// Nothing.
    Nothing,
}

/// Where a variant is tried.
pub(crate) struct Bench<'a> {
    pub(crate) cgroups: &'a Cgroups,
    pub(crate) rules: &'a Rules,
    pub(crate) traffic: &'a Traffic<'a>,
}

/// What must be kept for a variant to stand.
enum Held {
    Guard { _guard: Box<Guard> },
    Empty { _baseline: Box<Baseline> },
    Nft { _table: Table },
    Nothing,
}

impl Variant {
    pub(crate) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Empty,
        Self::Guard,
        Self::Nft(Match::User),
        Self::Nft(Match::Cgroup),
        Self::Nft(Match::Conntrack),
    ];

    /// Whether an outsider must be refused. Everything here is root's: a rule about users has
    /// nobody to refuse.
    fn refuses(self) -> bool {
        match self {
            Self::Guard | Self::Nft(Match::Cgroup | Match::Conntrack) => true,
            Self::Empty | Self::Nothing | Self::Nft(Match::User) => false,
        }
    }

    fn set_up(self, bench: &Bench<'_>) -> Result<Held> {
        Ok(match self {
            Self::Empty => Held::Empty {
                _baseline: Box::new(Baseline::attach(false)?),
            },
            Self::Guard => {
                let options = Options {
                    pins: None,
                    programs: None,
                    statistics: false,
                };
                let guard = Guard::start(bench.rules.clone(), Mode::Enforce, options)?;
                Held::Guard {
                    _guard: Box::new(guard),
                }
            }
            Self::Nft(by) => Held::Nft {
                _table: Table::set(by, bench.cgroups)?,
            },
            Self::Nothing => Held::Nothing,
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guard => "the guard",
            Self::Empty => "empty programs",
            Self::Nft(Match::Cgroup) => "nft, socket cgroupv2",
            Self::Nft(Match::Conntrack) => "nft, conntrack and socket cgroupv2",
            Self::Nft(Match::User) => "nft, meta skuid",
            Self::Nothing => "nothing",
        })
    }
}

impl Bench<'_> {
    /// The CPU time for a request, in microseconds.
    pub(crate) fn request(&self, variant: Variant) -> Result<f64> {
        let _held = variant.set_up(self)?;
        if self.traffic.is_open()? == variant.refuses() {
            bail!("{variant}: outsiders are not treated as expected");
        }
        let mut proxied = self.traffic.proxied()?;
        let mut run = |count| (0..count).try_for_each(|_| proxied.request());
        run(REQUESTS / 10)?;
        let begun = cpu_time()?;
        run(REQUESTS)?;
        Ok((cpu_time()? - begun) / f64::from(REQUESTS))
    }
}

/// This process's so far, in microseconds.
fn cpu_time() -> Result<f64> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).context("the clock")?;
    let seconds = u32::try_from(time.tv_sec).context("the clock")?;
    Ok(f64::from(seconds) * 1e6 + f64::from(nanoseconds) / 1e3)
}

const REQUESTS: u32 = 10_000;
