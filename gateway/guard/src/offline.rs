//! The command line without a service: what is pinned is changed directly, and the override is
//! stored for the next start. The way out of a lock-out while the service is down.

use std::path::Path;

use serde::Serialize;

use crate::cgroup::Hierarchy;
use crate::control::{Seat, SeatError};
use crate::cut;
use crate::error::GuardError;
use crate::guard::Guard;
use crate::overrides::{Override, OverrideError, OverrideFile};
use crate::rules::{Mode, Rules};

/// Where the service would look.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Where it would answer.
    pub socket: &'a Path,
    /// The file of the override.
    pub override_file: &'a Path,
    /// Where links and maps are pinned.
    pub pins: &'a Path,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Always false: the service did not run.
    pub running: bool,
    /// The override that the next start will find.
    pub r#override: Option<Override>,
    /// Whether something was pinned, and is changed now.
    pub pinned: bool,
    /// Sockets of foreign connections that were destroyed, because they predate enforcement.
    pub destroyed_sockets: u64,
    /// Why not all of them could be; the others hang, since what is pinned refuses their packets.
    pub uncut: Option<String>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// What is pinned cannot be changed.
    #[error("the override is stored for the next start, but what is pinned stays as it is: {0}")]
    Guard(#[from] GuardError),
    /// The override cannot be stored; nothing was changed.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// The service's place cannot be taken; nothing was changed.
    #[error(transparent)]
    Seat(SeatError),
    /// The service lives; nothing was changed.
    #[error(
        "the guard service is running, but does not answer; \
         stop it first (systemctl stop connect-gateway-guard)"
    )]
    Silent,
}

/// Stores an override, and changes what is pinned. If that enforces then, the open connections that
/// `rules` would not let in are cut. What is pinned may have been made of others, and keeps those.
pub fn set(places: &Places<'_>, rules: &Rules, mode: Mode) -> Result<Done, OfflineError> {
    let _seat = seat(places)?;
    let set = Override::now(mode);
    OverrideFile::at(places.override_file).write(&set)?;
    apply(places, rules, mode, Some(set))
}

/// Ends the override, and brings what is pinned back to the configured mode, as [`set`] does.
pub fn clear(places: &Places<'_>, rules: &Rules, configured: Mode) -> Result<Done, OfflineError> {
    let _seat = seat(places)?;
    OverrideFile::at(places.override_file).remove()?;
    apply(places, rules, configured, None)
}

/// The mode in which the service would start.
pub fn mode(override_file: &Path, configured: Mode) -> Mode {
    match OverrideFile::at(override_file).read() {
        Ok(Some(set)) => set.mode,
        // As the service does with one that cannot be read.
        Ok(None) | Err(_) => configured,
    }
}

fn apply(
    places: &Places<'_>,
    rules: &Rules,
    mode: Mode,
    set: Option<Override>,
) -> Result<Done, OfflineError> {
    let pinned = Guard::set_pinned(places.pins, mode)?;
    let cut = match mode {
        Mode::Enforce if pinned => cut_foreign(rules),
        Mode::Audit | Mode::Detach | Mode::Enforce => Ok(0),
    };
    let (destroyed_sockets, uncut) = match cut {
        Ok(destroyed) => (destroyed, None),
        Err(error) => (0, Some(error.to_string())),
    };
    Ok(Done {
        running: false,
        r#override: set,
        pinned,
        destroyed_sockets,
        uncut,
    })
}

fn cut_foreign(rules: &Rules) -> Result<u64, GuardError> {
    let hierarchy = Hierarchy::find()
        .map_err(GuardError::Surroundings)?
        .ok_or(GuardError::NoCgroup2)?;
    cut::foreign(rules, &hierarchy)
}

/// So that no service starts meanwhile with what stood there before.
fn seat(places: &Places<'_>) -> Result<Seat, OfflineError> {
    Seat::take(places.socket).map_err(|error| match error {
        SeatError::Taken { .. } => OfflineError::Silent,
        SeatError::Io { .. } | SeatError::Unsafe { .. } => OfflineError::Seat(error),
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_override_is_stored_for_the_next_start() {
        let paths = Paths::new();
        let places = paths.places();
        let file = OverrideFile::at(places.override_file);
        let done = set(&places, &RULES, Mode::Detach).unwrap();
        assert!(!done.pinned, "nothing is pinned there");
        assert_eq!(done.r#override.map(|set| set.mode), Some(Mode::Detach));
        assert_eq!(file.read().unwrap(), done.r#override);
        assert_eq!(mode(places.override_file, Mode::Enforce), Mode::Detach);

        let done = clear(&places, &RULES, Mode::Enforce).unwrap();
        assert_eq!(
            serde_json::to_string(&done).unwrap(),
            r#"{"running":false,"override":null,"pinned":false,"destroyed_sockets":0,"uncut":null}"#
        );
        assert_eq!(file.read().unwrap(), None);
        assert_eq!(mode(places.override_file, Mode::Enforce), Mode::Enforce);
        clear(&places, &RULES, Mode::Enforce).unwrap();
    }

    #[test]
    fn nothing_is_changed_behind_a_living_services_back() {
        let paths = Paths::new();
        let places = paths.places();
        let _service = Seat::take(places.socket).unwrap();
        for refused in [
            set(&places, &RULES, Mode::Detach),
            clear(&places, &RULES, Mode::Audit),
        ] {
            assert!(matches!(refused, Err(OfflineError::Silent)));
        }
        assert!(!places.override_file.exists());
    }

    /// Nothing is there yet.
    struct Paths {
        _scratch: Scratch,
        files: [PathBuf; 3],
    }

    impl Paths {
        fn new() -> Self {
            let scratch = Scratch::new();
            let names = ["guard.sock", "override.json", "pins"];
            Self {
                files: names.map(|name| scratch.path().join(name)),
                _scratch: scratch,
            }
        }

        fn places(&self) -> Places<'_> {
            let [socket, override_file, pins] = &self.files;
            Places {
                socket,
                override_file,
                pins,
            }
        }
    }

    const RULES: Rules = Rules {
        slice: String::new(),
        locals: Vec::new(),
        remotes: Vec::new(),
        exceptions: Vec::new(),
    };
}
