//! Which rule decides about a process or an address.

use serde::{Deserialize, Serialize};

/// The rules that decide about something, endpoint by endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked about.
    pub what: String,
}
