//! What came of an attempt.

use std::io::{self, ErrorKind};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The other kernel answered the handshake, and nothing else came.
    Answered,
    /// The other side's program answered.
    Connected {
        /// Its line.
        answer: String,
    },
    /// It ended without an answer, after it was established or by a reset.
    Cut,
    /// A system call failed.
    Refused {
        /// Its number.
        errno: i32,
        /// Its text.
        error: String,
    },
    /// Nothing came in time.
    Silent,
}

impl Outcome {
    /// Whether anything got through to the other side and back.
    pub fn reached(&self) -> bool {
        matches!(self, Self::Answered | Self::Connected { .. })
    }

    /// Whether the program behind that name answered.
    pub fn answered_by(&self, name: &str) -> bool {
        matches!(self, Self::Connected { answer } if answer.split(' ').next() == Some(name))
    }

    /// The kernel refused the call itself, as the guard's hooks make it do.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { errno, .. } if *errno == Errno::PERM.raw_os_error())
    }

    /// What an error of the attempt itself means.
    pub(super) fn of(error: &io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            // connect(2) and sendto(2) report SO_SNDTIMEO as EINPROGRESS, an io_uring as ETIME.
            (ErrorKind::TimedOut | ErrorKind::WouldBlock, _) => Self::Silent,
            (_, Some(libc::EINPROGRESS | libc::ETIME)) => Self::Silent,
            (
                ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset,
                _,
            ) => Self::Cut,
            (_, errno) => Self::Refused {
                errno: errno.unwrap_or_default(),
                error: error.to_string(),
            },
        }
    }
}
