//! The command line without a service: what is pinned is changed directly, and the override is
//! stored for the next start. The way out of a lock-out while the service is down.

use std::path::Path;

use serde::Serialize;

use crate::control::{Seat, SeatError};
use crate::error::GuardError;
use crate::guard::Guard;
use crate::overrides::{Override, OverrideError, OverrideFile};
use crate::rules::Mode;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Always false: the service did not run.
    pub running: bool,
    /// The override that the next start will find.
    pub r#override: Option<Override>,
    /// Whether something was pinned, and is changed now.
    pub pinned: bool,
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

/// Stores an override, and changes what is pinned.
pub fn set(places: &Places<'_>, mode: Mode) -> Result<Done, OfflineError> {
    let _seat = seat(places)?;
    let set = Override::now(mode);
    OverrideFile::at(places.override_file).write(&set)?;
    Ok(Done {
        running: false,
        r#override: Some(set),
        pinned: Guard::set_pinned(places.pins, mode)?,
    })
}

/// Ends the override, and brings what is pinned back to the configured mode.
pub fn clear(places: &Places<'_>, configured: Mode) -> Result<Done, OfflineError> {
    let _seat = seat(places)?;
    OverrideFile::at(places.override_file).remove()?;
    Ok(Done {
        running: false,
        r#override: None,
        pinned: Guard::set_pinned(places.pins, configured)?,
    })
}

/// The mode in which the service would start.
pub fn mode(override_file: &Path, configured: Mode) -> Mode {
    match OverrideFile::at(override_file).read() {
        Ok(Some(set)) => set.mode,
        // As the service does with one that cannot be read.
        Ok(None) | Err(_) => configured,
    }
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
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_override_is_stored_for_the_next_start() {
        let scratch = Scratch::new();
        let (socket, override_file, pins) = paths(&scratch);
        let places = Places {
            socket: &socket,
            override_file: &override_file,
            pins: &pins,
        };
        let file = OverrideFile::at(&override_file);
        let done = set(&places, Mode::Detach).unwrap();
        assert!(!done.pinned, "nothing is pinned there");
        assert_eq!(done.r#override.map(|set| set.mode), Some(Mode::Detach));
        assert_eq!(file.read().unwrap(), done.r#override);
        assert_eq!(mode(&override_file, Mode::Enforce), Mode::Detach);

        let done = clear(&places, Mode::Enforce).unwrap();
        assert_eq!(
            serde_json::to_string(&done).unwrap(),
            r#"{"running":false,"override":null,"pinned":false}"#
        );
        assert_eq!(file.read().unwrap(), None);
        assert_eq!(mode(&override_file, Mode::Enforce), Mode::Enforce);
        clear(&places, Mode::Enforce).unwrap();
    }

    #[test]
    fn nothing_is_changed_behind_a_living_services_back() {
        let scratch = Scratch::new();
        let (socket, override_file, pins) = paths(&scratch);
        let places = Places {
            socket: &socket,
            override_file: &override_file,
            pins: &pins,
        };
        let _service = Seat::take(&socket).unwrap();
        assert!(matches!(
            set(&places, Mode::Detach),
            Err(OfflineError::Silent)
        ));
        assert!(matches!(
            clear(&places, Mode::Audit),
            Err(OfflineError::Silent)
        ));
        assert!(!override_file.exists());
    }

    fn paths(scratch: &Scratch) -> (std::path::PathBuf, std::path::PathBuf, std::path::PathBuf) {
        let below = |name: &str| scratch.path().join(name);
        (below("guard.sock"), below("override.json"), below("pins"))
    }
}
