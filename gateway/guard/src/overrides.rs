//! The override: a mode that the command line put in the place of the configured one.

use serde::{Deserialize, Serialize};

use crate::rules::Mode;

/// What an operator chose by the command line, until `guard --clear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The mode.
    pub mode: Mode,
    /// Since when, in seconds since 1970.
    pub since_unix: u64,
}
