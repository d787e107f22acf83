//! What can be in the way of joining.

use std::io;

use super::MAX_JOINED;
use crate::error::GuardError;

/// Why a process cannot join.
#[derive(Debug, thiserror::Error)]
pub enum SteeringError {
    /// These sockets, or some of them, are known already as another generation.
    #[error("these sockets have joined already, as generation {0}")]
    Again(u16),
    /// They are in another array of sockets: an earlier service's, of which the pins are gone. It
    /// ends now.
    #[error("an earlier service has these sockets; it was told to let them go: try again")]
    Busy,
    /// The number of sockets is not what was announced.
    #[error("{found} sockets came, expected {expected}: at least 1 and at most {MAX_JOINED}")]
    Count {
        /// How many should come.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// There is no place left.
    #[error("there are too many {0}")]
    Full(&'static str),
    /// The guard's own maps or programs.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The kernel would not.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// A process that lives made its connection IDs by other keys.
    #[error("a process with other keys has {0}; its successor is started by it, or after its end")]
    Keys(String),
    /// Sockets in another network namespace have the address.
    #[error("another network namespace has sockets of {0}")]
    Namespace(String),
    /// One of the sockets is none that datagrams can be steered to.
    #[error("socket {index}: expected {expected}")]
    Socket {
        /// Which, from 0.
        index: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// Another process has this generation, and lives.
    #[error("another process is generation {0}")]
    Taken(u16),
}
