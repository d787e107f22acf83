//! The running guard: programs, maps, links, and the eye on them.

use std::path::{Path, PathBuf};

use gateway_ebpf::abi::{Event, Program, Reason};

use crate::rules::{Mode, Rules};

/// Programs, links and maps. Unpinned, they end with it; pinned, they outlive it.
#[derive(Debug)]
pub struct Guard {}

/// How it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where links and maps are pinned; `None`: they end with the [`Guard`].
    pub pins: Option<PathBuf>,
    /// Switch the kernel's run-time statistics on while the guard lives.
    pub statistics: bool,
}

/// Something that [`Guard::watch`] found and dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A cgroup that the rules name came, went, or was made anew.
    Cgroup {
        /// Its path.
        path: String,
        /// Whether it is there now.
        present: bool,
    },
    /// A program was not attached, or another sat in its place; it is attached again.
    Reattached {
        /// Which.
        program: Program,
        /// What was found.
        found: String,
    },
}

/// A program's attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Which.
    pub program: Program,
    /// Our program is attached at this moment.
    pub attached: bool,
    /// Its id in the kernel.
    pub program_id: u32,
    /// How often it ran, as far as statistics were on.
    pub runs: u64,
    /// For how long, in nanoseconds.
    pub run_time: u64,
}

/// How often a program decided something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which program.
    pub program: Program,
    /// What.
    pub reason: Reason,
    /// Whether refusals were real then, or only reported.
    pub enforced: bool,
    /// How often, since these programs were loaded.
    pub count: u64,
}

/// Why the guard cannot do its work. Nothing is half-attached after it.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// No object was embedded when this binary was built.
    #[error("no_object: this build has no eBPF object; build it with `cargo xtask build-ebpf` first")]
    NoObject,
}

impl Guard {
    /// Loads the programs, fills their maps, and attaches them (unless `mode` is `Detach`), taking
    /// the place of whatever an earlier instance pinned without a gap. Foreign connections that
    /// are open already are cut if `mode` is `Enforce`.
    pub fn start(rules: Rules, mode: Mode, options: Options) -> Result<Self, GuardError> {
        let _ = (rules, mode, options);
        todo!()
    }

    /// Changes the mode, at once.
    pub fn set_mode(&mut self, mode: Mode) -> Result<(), GuardError> {
        let _ = mode;
        todo!()
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        todo!()
    }

    /// Looks after everything that others may have changed: to be called about every 100 ms.
    /// Cgroups are followed as they come and go; a missing or foreign program is attached again.
    pub fn watch(&mut self) -> Result<Vec<Notice>, GuardError> {
        todo!()
    }

    /// Whether the gateway's slice exists.
    pub fn slice_present(&self) -> bool {
        todo!()
    }

    /// Whether the service of the local endpoint with this index exists.
    pub fn service_present(&self, local: usize) -> bool {
        let _ = local;
        todo!()
    }

    /// Every program that should be attached.
    pub fn links(&self) -> Vec<LinkState> {
        todo!()
    }

    /// Every counter that is not 0.
    pub fn counts(&self) -> Result<Vec<Count>, GuardError> {
        todo!()
    }

    /// Events that found no place in the ring, since the programs were loaded.
    pub fn events_lost(&self) -> Result<u64, GuardError> {
        todo!()
    }

    /// Sockets of foreign connections that were destroyed so far.
    pub fn destroyed(&self) -> u64 {
        todo!()
    }

    /// Takes every event out of the ring.
    pub fn events(&mut self, take: impl FnMut(&Event)) {
        let _ = take;
        todo!()
    }

    /// Without a [`Guard`]: changes the mode of what is pinned, `Detach` included. For the way out
    /// of a lock-out while the service is down. False if nothing is pinned.
    pub fn set_pinned(pins: &Path, mode: Mode) -> Result<bool, GuardError> {
        let _ = (pins, mode);
        todo!()
    }
}
