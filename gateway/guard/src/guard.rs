//! The running guard: programs, maps, links, and the eye on them.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::Ebpf;
use gateway_ebpf::abi::{Event, Program, Reason, Settings};

use crate::baseline::Runs;
use crate::cgroup::Hierarchy;
use crate::control::Join;
use crate::error::GuardError;
use crate::link::{self, Hook, Link};
use crate::maps::{Foreign, Maps};
use crate::rules::{Mode, Rules};
use crate::steering::{Steering, SteeringError};
use crate::surroundings::{Look, Surroundings};
use crate::{cut, pins, probe, programs, tables};

/// Programs, links and maps. Unpinned, they end with it; pinned, they outlive it.
pub struct Guard {
    rules: Rules,
    options: Options,
    mode: Mode,
    epoch: u32,
    hierarchy: Hierarchy,
    surroundings: Surroundings,
    root: File,
    ebpf: Ebpf,
    maps: Maps,
    steering: Steering,
    links: Vec<(Hook, Link)>,
    destroyed: u64,
    uncut: Option<GuardError>,
    /// What was found has changed since the maps were written.
    unwritten: bool,
    /// Nobody else has the pin directory while it is open.
    _lock: Option<File>,
    /// Run-time statistics are on while it is open.
    _statistics: Option<OwnedFd>,
    /// Whether `cgroup_skb` programs can ask for a packet's namespace.
    namespace_helper: bool,
}

/// How it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where links and maps are pinned; `None`: they end with the [`Guard`].
    pub pins: Option<PathBuf>,
    /// Attach only these, to show what each layer does alone; `None`: all that the rules need.
    pub programs: Option<Vec<Program>>,
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
    /// The name of a network namespace leads to another one now.
    Namespace {
        /// The name.
        path: PathBuf,
    },
    /// A program was not attached, or another sat in its place; it is attached again.
    Reattached {
        /// Which.
        program: String,
        /// What was found.
        found: String,
    },
    /// The pin of a map was removed; it is made again.
    Repinned {
        /// Which map.
        map: &'static str,
    },
}

/// A program's attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Which.
    pub program: &'static str,
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

impl Guard {
    /// Loads the programs, fills their maps, and attaches them (unless `mode` is `Detach`), taking
    /// the place of whatever an earlier instance pinned without a gap. Foreign connections that
    /// are open already are cut if `mode` is `Enforce`.
    pub fn start(rules: Rules, mode: Mode, options: Options) -> Result<Self, GuardError> {
        let hierarchy = Hierarchy::find()
            .map_err(GuardError::Surroundings)?
            .ok_or(GuardError::NoCgroup2)?;
        let root = File::open(&hierarchy.root).map_err(GuardError::Surroundings)?;
        let surroundings =
            Surroundings::find(&rules, &hierarchy).map_err(GuardError::Surroundings)?;
        let pins = options.pins.as_deref();
        let namespace_helper = probe::has_namespace_helper();
        // Sockets keep the notes of an earlier instance, and a new epoch makes them void. Where no
        // program tells the last one, the notes go.
        let (lock, epoch) = match pins {
            None => (None, 0),
            Some(pins) => {
                let lock = pins::prepare(pins)?;
                let epoch = pins::last_epoch(pins);
                if epoch.is_none() {
                    pins::remove_notes(pins)?;
                }
                (Some(lock), epoch.unwrap_or(0))
            }
        };
        let statistics = if options.statistics {
            aya::sys::enable_stats(aya::sys::Stats::RunTime).ok()
        } else {
            None
        };
        let mut ebpf = programs::read(pins, namespace_helper)?;
        let maps = Maps::take(&mut ebpf, &rules)?;
        let steering = Steering::take(&mut ebpf)?;
        let mut guard = Self {
            rules,
            options,
            mode: Mode::Detach,
            epoch,
            hierarchy,
            surroundings,
            root,
            ebpf,
            maps,
            steering,
            links: Vec::new(),
            destroyed: 0,
            uncut: None,
            unwritten: false,
            _lock: lock,
            _statistics: statistics,
            namespace_helper,
        };
        guard.set_mode(mode)?;
        Ok(guard)
    }

    /// Changes the mode, at once.
    pub fn set_mode(&mut self, mode: Mode) -> Result<(), GuardError> {
        self.mode = mode;
        if mode == Mode::Detach {
            self.links.clear();
            // The notes on sockets stay: this instance goes on with them.
            return self
                .options
                .pins
                .as_deref()
                .map_or(Ok(()), pins::unpin_links);
        }
        self.epoch = self.epoch.wrapping_add(1);
        self.fill()?;
        self.attach()?;
        // A connection that cannot be cut hangs all the same: its packets are refused.
        self.uncut = match mode {
            Mode::Enforce => match cut::foreign(&self.rules, &self.hierarchy) {
                Ok(destroyed) => {
                    self.destroyed += destroyed;
                    None
                }
                Err(error) => Some(error),
            },
            Mode::Audit | Mode::Detach => None,
        };
        Ok(())
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where cgroups are.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Looks after everything that others may have changed: to be called about every 100 ms.
    /// Cgroups and namespaces are followed as they come and go; a missing or foreign program is
    /// attached again. What fails keeps nothing else from being done, and is tried again next time.
    pub fn watch(&mut self) -> (Vec<Notice>, Option<GuardError>) {
        let Look { mut notices, fault } = self.surroundings.look(&self.rules, &self.hierarchy);
        let mut fault = fault.map(GuardError::Surroundings);
        self.unwritten |= !notices.is_empty();
        if self.unwritten && self.mode != Mode::Detach {
            match self.fill() {
                Ok(()) => self.unwritten = false,
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        for index in 0..self.links.len() {
            match self.watch_link(index) {
                Ok(notice) => notices.extend(notice),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        if let Err(error) = self.steering.look() {
            fault = fault.or(Some(error));
        }
        match self.restore_notes() {
            Ok(maps) => notices.extend(maps.into_iter().map(|map| Notice::Repinned { map })),
            Err(error) => fault = fault.or(Some(error)),
        }
        (notices, fault)
    }

    /// Whether the gateway's slice exists.
    pub fn slice_present(&self) -> bool {
        self.surroundings.found().slice.is_some()
    }

    /// Whether the service of the local endpoint with this index exists.
    pub fn service_present(&self, local: usize) -> bool {
        let services = &self.surroundings.found().services;
        services
            .get(local)
            .is_some_and(|service| service.cgroup.is_some())
    }

    /// Every program that should be attached.
    pub fn links(&self) -> Vec<LinkState> {
        self.links
            .iter()
            .map(|(hook, link)| {
                let program = programs::loaded(&self.ebpf, *hook).ok();
                let id = program.and_then(programs::id).unwrap_or_default();
                let text = program
                    .and_then(|program| link::fdinfo(program.as_fd()).ok())
                    .unwrap_or_default();
                LinkState {
                    program: hook.name(),
                    attached: link.attached().is_ok_and(|now| now.holds(id)),
                    program_id: id,
                    runs: link::field(&text, "run_cnt").unwrap_or_default(),
                    run_time: link::field(&text, "run_time_ns").unwrap_or_default(),
                }
            })
            .collect()
    }

    /// Every counter that is not 0.
    pub fn counts(&self) -> Result<Vec<Count>, GuardError> {
        Ok(self.maps.counts()?)
    }

    /// Events that found no place in the ring, since the programs were loaded.
    pub fn events_lost(&self) -> Result<u64, GuardError> {
        Ok(self.maps.lost()?)
    }

    /// Why foreign connections that were open could not all be cut, when enforcing began. They
    /// hang until their own time-outs.
    pub fn uncut(&self) -> Option<&GuardError> {
        self.uncut.as_ref()
    }

    /// Sockets of foreign connections that were destroyed so far.
    pub fn destroyed(&self) -> u64 {
        self.destroyed
    }

    /// Lets a process of the gateway's take part in the steering of QUIC, whatever the mode. Returns its
    /// generation.
    pub fn join(&mut self, join: &Join, sockets: &[OwnedFd]) -> Result<u16, SteeringError> {
        let program = programs::load_steering(&mut self.ebpf)?;
        self.steering.join(program, join, sockets)
    }

    /// What takes part in the steering of QUIC.
    pub(crate) fn steering(&self) -> &Steering {
        &self.steering
    }

    /// The id of the program that steers QUIC, and how often it ran, as far as statistics were on;
    /// `None` if nobody has joined since this instance began.
    pub fn steering_runs(&self) -> Option<(u32, Runs)> {
        let program = programs::steering(&self.ebpf)?;
        let text = link::fdinfo(program.as_fd()).ok()?;
        let number = |key| link::field(&text, key).unwrap_or_default();
        let runs = Runs {
            runs: number("run_cnt"),
            run_time: number("run_time_ns"),
        };
        Some((programs::id(program)?, runs))
    }

    /// Takes every event out of the ring.
    pub fn events(&mut self, take: impl FnMut(&Event)) {
        self.maps.events(take);
    }

    /// Without a [`Guard`]: changes the mode of what is pinned, `Detach` included. For the way out
    /// of a lock-out while the service is down. False if nothing is pinned.
    pub fn set_pinned(pins: &Path, mode: Mode) -> Result<bool, GuardError> {
        if !pins.exists() {
            return Ok(false);
        }
        let _lock = pins::prepare(pins)?;
        let mut found = false;
        for hook in Hook::ALL {
            let id = link::pinned_program(pins, hook).map_err(|source| GuardError::Attach {
                program: hook.name(),
                source,
            })?;
            let Some(id) = id else {
                continue;
            };
            // The one that takes notes reads no settings.
            if mode == Mode::Detach || hook == Hook::Origin {
                found = true;
            } else {
                let mut foreign = Foreign::find(id).ok_or(GuardError::OtherVersion {
                    program: hook.name(),
                })?;
                let settings = foreign.get()?;
                foreign.set(&Settings {
                    enforce: u32::from(mode == Mode::Enforce),
                    epoch: settings.epoch.wrapping_add(1),
                    ..settings
                })?;
                found = true;
            }
        }
        if mode == Mode::Detach {
            pins::unpin(pins)?;
        }
        Ok(found)
    }

    /// Writes what the programs read, as things are now.
    fn fill(&mut self) -> Result<(), GuardError> {
        let found = self.surroundings.found();
        let settings = tables::settings(&self.rules, found, self.mode, self.epoch);
        self.maps.set_settings(&settings)?;
        self.maps
            .set_services(&tables::services(&self.rules, found))?;
        Ok(())
    }

    /// Attaches what is needed and not attached yet, and removes what an earlier instance pinned
    /// and is not needed any more.
    fn attach(&mut self) -> Result<(), GuardError> {
        let pins = self.options.pins.as_deref();
        let mut links: Vec<(Hook, Link)> = Vec::new();
        for hook in Hook::ALL {
            if self.links.iter().any(|(attached, _)| *attached == hook) {
                continue;
            }
            if !self.needs(hook) {
                if let Some(pins) = pins {
                    link::remove_pinned(pins, hook).map_err(|source| GuardError::Detach {
                        program: hook.name(),
                        source,
                    })?;
                }
                continue;
            }
            let attached = programs::load(&mut self.ebpf, hook).and_then(|program| {
                Link::attach(hook, program.as_fd(), self.root.as_fd(), pins).map_err(|source| {
                    GuardError::Attach {
                        program: hook.name(),
                        source,
                    }
                })
            });
            match attached {
                Ok(link) => links.push((hook, link)),
                Err(error) => {
                    for (_, link) in links {
                        link.withdraw();
                    }
                    return Err(error);
                }
            }
        }
        self.links.append(&mut links);
        Ok(())
    }

    fn needs(&self, hook: Hook) -> bool {
        let chosen = |program| {
            let programs = self.options.programs.as_ref();
            programs.is_none_or(|programs| programs.contains(&program))
        };
        let locals = &self.rules.locals;
        match hook {
            Hook::Origin => !locals.is_empty() && !self.namespace_helper,
            Hook::Decides(program) => {
                chosen(program)
                    && match program {
                        Program::Bind4 | Program::Bind6 => locals.iter().any(|local| local.reserve),
                        Program::Connect4 | Program::Connect6 => true,
                        Program::Egress => !self.rules.remotes.is_empty(),
                        Program::Ingress => !locals.is_empty(),
                    }
            }
        }
    }

    fn restore_notes(&self) -> Result<Vec<&'static str>, GuardError> {
        match &self.options.pins {
            Some(pins) if self.mode != Mode::Detach => pins::restore_notes(pins, &self.ebpf),
            _ => Ok(Vec::new()),
        }
    }

    fn watch_link(&mut self, index: usize) -> Result<Option<Notice>, GuardError> {
        let Some((hook, link)) = self.links.get(index) else {
            return Ok(None);
        };
        let hook = *hook;
        let fault = |source| GuardError::Attach {
            program: hook.name(),
            source,
        };
        let ours = programs::loaded(&self.ebpf, hook)?;
        let now = link.attached().map_err(fault)?;
        let found = if now.cgroup == 0 {
            let pins = self.options.pins.as_deref();
            let link = Link::attach(hook, ours.as_fd(), self.root.as_fd(), pins).map_err(fault)?;
            if let Some(place) = self.links.get_mut(index) {
                *place = (hook, link);
            }
            "it was detached".to_owned()
        } else if !now.holds(programs::id(ours).unwrap_or_default()) {
            link.restore(ours.as_fd()).map_err(fault)?;
            format!("program {} was in its place", now.program)
        } else if link.restore_pin().map_err(fault)? {
            "its pin was removed".to_owned()
        } else {
            return Ok(None);
        };
        Ok(Some(Notice::Reattached {
            program: hook.name().to_owned(),
            found,
        }))
    }
}
