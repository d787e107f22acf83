//! The directory in which links, and the notes on sockets, outlive a process.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use aya::Ebpf;
use gateway_ebpf::abi::Group;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::GuardError;
use crate::link::{self, Hook};
use crate::maps::Foreign;

/// Makes the directory, or makes sure that nobody else made it. It belongs to this instance as long
/// as what is returned is open.
pub(crate) fn prepare(path: &Path) -> Result<File, GuardError> {
    let fault = |problem: String| GuardError::Pins {
        path: path.to_owned(),
        problem,
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(fault(error.to_string()));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(path).map_err(|error| fault(error.to_string()))?;
    if !found.is_dir() {
        Err(fault("is no directory".to_owned()))
    } else if found.uid() != 0 || found.mode() & 0o077 != 0 {
        Err(fault(format!(
            "belongs to user {} with mode {:04o}",
            found.uid(),
            found.mode() & 0o7777
        )))
    } else {
        let directory = File::open(path).map_err(|error| fault(error.to_string()))?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(directory),
            Err(Errno::WOULDBLOCK) => Err(GuardError::Running(path.to_owned())),
            Err(error) => Err(fault(error.to_string())),
        }
    }
}

/// The epoch of what an earlier instance left attached; `None` if there is nothing.
pub(crate) fn last_epoch(pins: &Path) -> Option<u32> {
    let epoch = |hook| {
        let id = link::pinned_program(pins, hook).ok()??;
        Some(Foreign::find(id)?.get().ok()?.epoch)
    };
    Hook::ALL.into_iter().filter_map(epoch).max()
}

/// Detaches and removes everything that is pinned: nothing of it is attached after that.
pub(crate) fn unpin(pins: &Path) -> Result<(), GuardError> {
    unpin_links(pins)?;
    remove_notes(pins)?;
    steering().iter().try_for_each(|(name, pin)| {
        link::remove(&pins.join(pin)).map_err(|source| GuardError::Detach {
            program: name,
            source,
        })
    })
}

/// Detaches the programs that are pinned, and removes the pins.
pub(crate) fn unpin_links(pins: &Path) -> Result<(), GuardError> {
    for hook in Hook::ALL {
        link::remove_pinned(pins, hook).map_err(|source| GuardError::Detach {
            program: hook.name(),
            source,
        })?;
    }
    Ok(())
}

/// Pins the maps of notes again of which somebody removed the pins: without them the next instance
/// would know none of the sockets. Returns which.
pub(crate) fn restore_notes(pins: &Path, ebpf: &Ebpf) -> Result<Vec<&'static str>, GuardError> {
    let mut restored = Vec::new();
    for &name in NOTES {
        let pin = pins.join(name);
        if pin.exists() {
            continue;
        }
        let map = ebpf.map(name).ok_or(GuardError::NoObject)?;
        map.pin(pin)
            .map_err(|source| GuardError::Pin { map: name, source })?;
        restored.push(name);
    }
    Ok(restored)
}

/// Makes void what sockets were noted as.
pub(crate) fn remove_notes(pins: &Path) -> Result<(), GuardError> {
    NOTES.iter().try_for_each(|name| {
        link::remove(&pins.join(name)).map_err(|source| GuardError::Detach {
            program: name,
            source,
        })
    })
}

/// The maps of where datagrams are steered to, which hold across instances, and what their pins are
/// called: with the number of their layout, so that no version finds another's.
pub(crate) fn steering() -> [(&'static str, String); 2] {
    let pin = |name: &'static str| (name, format!("{name}_{}", Group::LAYOUT));
    [pin("GROUPS"), pin("SOCKETS")]
}

/// The maps of what sockets were noted as.
pub(crate) const NOTES: &[&str] = &["VERIFIED", "EXCEPTED", "ORIGIN"];
